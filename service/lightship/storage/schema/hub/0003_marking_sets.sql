-- What markings say, counted: each object version has its marking set; what waits for its release is staged.
-- needs: 0.1.0
--
-- The rows that are there get their sets from their bodies, in the same transaction (storage/marking_sets.py).
-- New columns of `object` come after `body`, so that no row is written anew and page reads stay as they were.

-- Sets are never deleted: a number means the same for ever.
CREATE TABLE marking_set (
  number INTEGER PRIMARY KEY,
  body   BLOB NOT NULL UNIQUE      -- JCS
) STRICT;

ALTER TABLE object ADD COLUMN marks INTEGER NOT NULL DEFAULT 0;   -- marking_set.number
ALTER TABLE object ADD COLUMN expires INTEGER;                     -- share_until of the set, microseconds
CREATE INDEX object_expires ON object (collection, expires) WHERE expires IS NOT NULL;

-- How many versions of one owner carry one set, old ones too, and how many wait.
CREATE TABLE held_set (
  collection INTEGER NOT NULL,
  marks      INTEGER NOT NULL,
  owner      TEXT    NOT NULL,
  live       INTEGER NOT NULL CHECK (live >= 0),
  staged     INTEGER NOT NULL CHECK (staged >= 0),
  PRIMARY KEY (collection, marks, owner)
) STRICT, WITHOUT ROWID;

-- Object versions that wait outside their collection for their release. Numbers are never used again.
CREATE TABLE staged (
  number       INTEGER PRIMARY KEY AUTOINCREMENT,
  collection   INTEGER NOT NULL,
  owner        TEXT    NOT NULL,   -- member
  release_at   INTEGER NOT NULL,
  posted       INTEGER NOT NULL,
  problem      TEXT    NOT NULL DEFAULT '',   -- why its release failed
  marks        INTEGER NOT NULL,   -- marking_set.number
  type         INTEGER NOT NULL,
  spec_version TEXT    NOT NULL,
  version      TEXT    NOT NULL,
  version_text TEXT    NOT NULL,
  idhash       INTEGER NOT NULL,
  id           TEXT    NOT NULL,
  digest       BLOB    NOT NULL,
  about        TEXT    NOT NULL,   -- JSON: created_by, level, owned, cites
  body         BLOB    NOT NULL,   -- JCS
  UNIQUE (idhash, owner, version, collection, id)
) STRICT;
CREATE INDEX staged_due ON staged (collection, release_at);
CREATE INDEX staged_owner ON staged (collection, owner, release_at);

ALTER TABLE withdrawn ADD COLUMN added INTEGER NOT NULL DEFAULT 0;   -- date_added it had; 0 before this schema

ALTER TABLE agreement ADD COLUMN rules BLOB NOT NULL DEFAULT x'';    -- its own forbid rules as text
