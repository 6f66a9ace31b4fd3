-- Statements become the leaves of one verifiable log for each collection (RFC 9162 section 2.1).
-- needs: 0.1.0
--
-- A leaf follows from its row (storage/leaves.py). The hashes, nodes and heads of the rows that are there are made
-- in the same transaction, after these statements.

ALTER TABLE statement ADD COLUMN hash BLOB NOT NULL DEFAULT x'';   -- SHA-256(0x00 || leaf): level 0 of the tree

-- Levels 8, 16, ... of the trees: with statement.hash a tile of 256 hashes is one range. The rest follows from them.
CREATE TABLE log_node (
  collection INTEGER NOT NULL,
  level      INTEGER NOT NULL,
  idx        INTEGER NOT NULL,
  hash       BLOB    NOT NULL,
  PRIMARY KEY (collection, level, idx)
) STRICT, WITHOUT ROWID;

-- One row a log, written in the transaction of its leaves.
CREATE TABLE log_head (
  collection INTEGER PRIMARY KEY,
  origin     TEXT    NOT NULL,   -- <hub host>/c/<collection>, empty until something is signed
  size       INTEGER NOT NULL,
  peaks      BLOB    NOT NULL,   -- roots of the largest whole subtrees, in order
  note       BLOB    NOT NULL    -- the signed checkpoint of this size, empty if nothing was signed
) STRICT;
