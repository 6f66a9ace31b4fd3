-- Each agreement's events of the year, and those of `hub`, become the leaves of a verifiable log (RFC 9162).
-- needs: 0.1.0

-- As before, with the hash of each leaf; (agr, idx) is unique again: it is the place in the log.
CREATE TABLE event_3 (
  seq     INTEGER PRIMARY KEY,                -- order of commit in this file, of `idx` too
  agr     INTEGER NOT NULL,                   -- word(id), as who, cred, col and act
  idx     INTEGER NOT NULL,                   -- from 0 without gaps within agr
  at      INTEGER NOT NULL,                   -- microseconds
  who     INTEGER NOT NULL,
  cred    INTEGER NOT NULL,
  col     INTEGER NOT NULL,
  act     INTEGER NOT NULL,
  outcome INTEGER NOT NULL,                   -- 0 ok, 1 refused, 2 failed
  effect  INTEGER NOT NULL,                   -- 0 for an act `read-...`, else 1: it may be recorded again after a crash
  req     BLOB NOT NULL,                      -- 16 bytes of the request id, or its text if it is no UUID
  leaf    BLOB NOT NULL,                      -- canonical JSON; q and ip in it are SHA-256(salt || value)
  hash    BLOB NOT NULL,                      -- SHA-256(0x00 || leaf): level 0 of the tree
  q_salt  BLOB,
  q       TEXT,
  ip_salt BLOB,
  ip      TEXT,
  seal    BLOB                                -- of the first leaf of a group: its size (4 bytes) and its signature
) STRICT;

INSERT INTO event_3
SELECT seq, agr, idx, at, who, cred, col, act, outcome, effect, req, leaf, leaf_hash(leaf), q_salt, q, ip_salt,
  ip, NULL
FROM event ORDER BY seq;

DROP TABLE event;
ALTER TABLE event_3 RENAME TO event;
CREATE UNIQUE INDEX event_req ON event(req) WHERE effect = 1;
CREATE UNIQUE INDEX event_place ON event(agr, idx);

-- Levels 8, 16, ... of the trees: with event.hash a tile of 256 hashes is one range. The rest follows from them.
CREATE TABLE node (
  agr   INTEGER NOT NULL,
  level INTEGER NOT NULL,
  idx   INTEGER NOT NULL,
  hash  BLOB NOT NULL,
  PRIMARY KEY (agr, level, idx)
) STRICT, WITHOUT ROWID;

-- One row a log; in the transaction of its events.
CREATE TABLE head (
  agr    INTEGER PRIMARY KEY,                 -- word(id)
  origin TEXT NOT NULL,                       -- <hub host>/audit/<agreement>/<year>, empty until something is signed
  size   INTEGER NOT NULL,
  newest INTEGER NOT NULL,                    -- the largest `at`
  peaks  BLOB NOT NULL                        -- roots of the largest whole subtrees, in order
) STRICT;

-- Signed notes: origin, size, root.
CREATE TABLE checkpoint (
  agr  INTEGER NOT NULL,
  size INTEGER NOT NULL,
  note BLOB NOT NULL,
  PRIMARY KEY (agr, size)
) STRICT, WITHOUT ROWID;

DROP TABLE scope;                             -- `head` takes its place, filled from `event` after this
