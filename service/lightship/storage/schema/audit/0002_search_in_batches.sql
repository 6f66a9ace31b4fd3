-- An event is written to its table alone; what is searched by is filled from it, many events at a time.
-- needs: 0.1.0

-- No longer unique: every `req`, `(agr, idx)`. A request that only reads is recorded once by its one request, and a random
-- id costs a page of an index for each event. fsck looks at all of them. Nor is each `word` looked up again.
CREATE TABLE event_2 (
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
  q_salt  BLOB,
  q       TEXT,
  ip_salt BLOB,
  ip      TEXT
) STRICT;

INSERT INTO event_2
SELECT e.seq, e.agr, e.idx, e.at, e.who, e.cred, e.col, e.act, e.outcome, w.text NOT GLOB 'read-*', e.req,
  e.leaf, e.q_salt, e.q, e.ip_salt, e.ip
FROM event AS e LEFT JOIN word AS w ON w.id = e.act ORDER BY e.seq;

DROP TABLE event;
ALTER TABLE event_2 RENAME TO event;
CREATE UNIQUE INDEX event_req ON event(req) WHERE effect = 1;

-- Holds all that is searched for: a question that no single index answers well reads this one alone.
CREATE TABLE search (
  at      INTEGER NOT NULL,
  seq     INTEGER NOT NULL,
  agr     INTEGER NOT NULL,
  who     INTEGER NOT NULL,
  cred    INTEGER NOT NULL,
  col     INTEGER NOT NULL,
  act     INTEGER NOT NULL,
  outcome INTEGER NOT NULL,
  PRIMARY KEY (at, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX search_who ON search(who, at, seq);
CREATE INDEX search_cred ON search(cred, at, seq);
CREATE INDEX search_col ON search(col, at, seq);
CREATE INDEX search_act ON search(act, at, seq);
CREATE INDEX search_outcome ON search(outcome, at, seq) WHERE outcome <> 0;

INSERT INTO search SELECT at, seq, agr, who, cred, col, act, outcome FROM event ORDER BY at, seq;

-- One row: the last event that `search` holds. Those after it are found by reading them.
CREATE TABLE filled (
  seq INTEGER NOT NULL
) STRICT;

INSERT INTO filled SELECT coalesce(max(seq), 0) FROM event;
