-- Statements that publishers sign, and the rosters that say with which keys.
-- needs: 0.1.0

-- JSON list of {"keyid", "sig"} as they came, empty for what the hub attests: with it a leaf is the envelope received.
ALTER TABLE statement ADD COLUMN signatures BLOB NOT NULL DEFAULT x'';

-- Every version of every member's roster, for ever: logs name them by their digests.
CREATE TABLE roster (
  agreement         TEXT    NOT NULL,
  member            TEXT    NOT NULL,
  version           INTEGER NOT NULL CHECK (version >= 1),
  digest            TEXT    NOT NULL,   -- hex SHA-256 of its payload
  envelope          BLOB    NOT NULL,
  agreement_version INTEGER NOT NULL,   -- in force when it was applied
  admin_key         TEXT    NOT NULL,   -- the one that this version names for the member
  applied           INTEGER NOT NULL,
  PRIMARY KEY (agreement, member, version),
  UNIQUE (agreement, digest)
) STRICT, WITHOUT ROWID;

-- What each key had logged last in a collection: its next statement must follow it.
CREATE TABLE publish_key (
  collection INTEGER NOT NULL,
  key        TEXT    NOT NULL,   -- key id
  seq        INTEGER NOT NULL,
  digest     TEXT    NOT NULL,   -- hex SHA-256 of that payload
  PRIMARY KEY (collection, key)
) STRICT, WITHOUT ROWID;

-- Signed statements by payload: one that is sent again gets the answer of the first time.
CREATE TABLE signed_statement (
  collection INTEGER NOT NULL,
  digest     TEXT    NOT NULL,   -- hex SHA-256 of the payload
  idx        INTEGER NOT NULL,   -- of its leaf
  status     BLOB    NOT NULL,   -- status resource as it was answered
  PRIMARY KEY (collection, digest)
) STRICT, WITHOUT ROWID;
