-- The hub's data: collections, object versions, statements, agreements, credentials.
-- needs: 0.1.0
--
-- `key` of an object is collection << 52 | date_added in microseconds: order, cursor and date in one.
-- `key` of a statement is collection << 52 | index. The generated columns cost no space.

-- One row: the policy epoch, raised by each change of agreements or credentials.
CREATE TABLE hub (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  epoch INTEGER NOT NULL
) STRICT;
INSERT INTO hub (one, epoch) VALUES (1, 0);

-- Rows are never deleted, so that a number is never used again.
CREATE TABLE collection (
  number            INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 2047),
  id                TEXT    NOT NULL UNIQUE,
  agreement         TEXT    NOT NULL,
  agreement_version INTEGER NOT NULL,            -- newest one, for statement rows
  hub               TEXT    NOT NULL,            -- digest of the agreement's version 1
  generation        INTEGER NOT NULL DEFAULT 0,  -- rises with each row whose visibility changed
  size              INTEGER NOT NULL DEFAULT 0,  -- statements
  last              INTEGER NOT NULL DEFAULT 0,  -- newest stamp taken, by statements without objects too
  last_added        INTEGER NOT NULL DEFAULT 0,  -- newest date_added ever given
  objects           INTEGER NOT NULL DEFAULT 0,  -- live object versions
  stored_bytes      INTEGER NOT NULL DEFAULT 0   -- sum of their bodies
) STRICT;

CREATE TABLE type (
  number INTEGER PRIMARY KEY,
  name   TEXT NOT NULL UNIQUE
) STRICT;

-- Live object versions. class: 1 last and 2 first version within its spec_version, 4 of the object's
-- highest spec_version, 8 spec_version 2.1 (else 2.0).
CREATE TABLE object (
  key          INTEGER PRIMARY KEY,
  class        INTEGER NOT NULL CHECK (class BETWEEN 0 AND 15),
  type         INTEGER NOT NULL,
  version      TEXT    NOT NULL,   -- instant, '' without one
  version_text TEXT    NOT NULL,   -- as written in the object
  owner        TEXT    NOT NULL,   -- member
  idhash       INTEGER NOT NULL,   -- 64 bits over collection and id; the id itself decides
  id           TEXT    NOT NULL,
  digest       BLOB    NOT NULL,   -- SHA-256 of body
  body         BLOB    NOT NULL,   -- JCS
  collection   INTEGER GENERATED ALWAYS AS (key >> 52) VIRTUAL,
  date_added   INTEGER GENERATED ALWAYS AS (key & 4503599627370495) VIRTUAL,
  spec_version TEXT    GENERATED ALWAYS AS (CASE WHEN class & 8 THEN '2.1' ELSE '2.0' END) VIRTUAL
) STRICT;
CREATE INDEX object_id ON object (idhash, class);
CREATE INDEX object_class ON object (class);
CREATE INDEX object_type ON object (type, class);
CREATE INDEX object_version ON object (version) WHERE version <> '';
CREATE INDEX object_shown ON object (class & 5) WHERE class & 5 = 5;

-- What was withdrawn, for ever, until the same version is added again.
CREATE TABLE withdrawn (
  number       INTEGER PRIMARY KEY,
  collection   INTEGER NOT NULL,
  idhash       INTEGER NOT NULL,
  id           TEXT    NOT NULL,
  version      TEXT    NOT NULL,
  version_text TEXT    NOT NULL,
  spec_version TEXT    NOT NULL,
  digest       BLOB    NOT NULL,
  owner        TEXT    NOT NULL,
  reason       TEXT    NOT NULL CHECK (reason IN ('publisher', 'expired', 'ordered', 'distrusted')),
  at           INTEGER NOT NULL
) STRICT;
CREATE INDEX withdrawn_id ON withdrawn (idhash);

-- One row per statement: hub-attested lists of adds and withdrawals, and agreement changes.
CREATE TABLE statement (
  key        INTEGER PRIMARY KEY,
  at         INTEGER NOT NULL,   -- stamp of its last entry
  by         TEXT    NOT NULL,   -- member, '' for the hub
  agreement  INTEGER NOT NULL,   -- version in force
  body       BLOB    NOT NULL,   -- JCS
  req        TEXT    NOT NULL DEFAULT '',   -- request id of its access event: no effect without its event
  collection INTEGER GENERATED ALWAYS AS (key >> 52) VIRTUAL,
  idx        INTEGER GENERATED ALWAYS AS (key & 4503599627370495) VIRTUAL
) STRICT;

-- The newest rows whose visibility changed, for caches; older ones are forgotten.
CREATE TABLE dropped (
  collection INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  key        INTEGER NOT NULL,
  PRIMARY KEY (collection, generation)
) STRICT, WITHOUT ROWID;

-- Status resources; rows in order of time.
CREATE TABLE status (
  number     INTEGER PRIMARY KEY,
  id         TEXT    NOT NULL UNIQUE,
  agreement  TEXT    NOT NULL,
  credential TEXT    NOT NULL,
  at         INTEGER NOT NULL,
  body       BLOB    NOT NULL
) STRICT;

-- Access events whose effect is committed here, until the access log has them.
CREATE TABLE pending_event (
  req  TEXT PRIMARY KEY,
  body BLOB NOT NULL               -- JSON of the event
) STRICT, WITHOUT ROWID;

CREATE TABLE agreement (
  id        TEXT    NOT NULL,
  version   INTEGER NOT NULL CHECK (version >= 1),
  payload   BLOB    NOT NULL,
  envelope  BLOB    NOT NULL,
  digest    TEXT    NOT NULL,
  activated INTEGER NOT NULL,
  PRIMARY KEY (id, version)
) STRICT;

CREATE TABLE credential (
  id        TEXT    PRIMARY KEY,
  agreement TEXT    NOT NULL,
  member    TEXT    NOT NULL,
  name      TEXT    NOT NULL UNIQUE,
  digest    BLOB    NOT NULL UNIQUE,  -- SHA-256 of the secret
  created   INTEGER NOT NULL,
  expires   INTEGER,
  revoked   INTEGER,
  allowed   TEXT    NOT NULL,         -- JSON list of networks
  profile   TEXT    NOT NULL,
  note      TEXT    NOT NULL
) STRICT;
