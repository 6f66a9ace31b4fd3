-- Any number of objects may share one version: reads by version find the matching ones among them by index.
-- needs: 0.1.0
--
-- class & 12 is what match[spec_version] and its default look at: of the highest spec_version, spec_version 2.1.

DROP INDEX object_version;
CREATE INDEX object_version ON object (version, type, class & 12) WHERE version <> '';
