-- One file per UTC year of access events. Rows are only ever added; `q` and `ip` with their salts may be erased.
-- needs: 0.1.0

-- Every text that is searched for, once, so that rows and indexes hold small numbers.
CREATE TABLE word (
  id   INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
) STRICT;

-- Events so far of each agreement (and of `hub`): the next `idx`.
CREATE TABLE scope (
  agr  INTEGER PRIMARY KEY REFERENCES word(id),
  size INTEGER NOT NULL
) STRICT;

CREATE TABLE event (
  seq     INTEGER PRIMARY KEY,                -- order of commit in this file
  agr     INTEGER NOT NULL REFERENCES word(id),
  idx     INTEGER NOT NULL,                   -- from 0 without gaps within agr
  at      INTEGER NOT NULL,                   -- microseconds
  who     INTEGER NOT NULL REFERENCES word(id),
  cred    INTEGER NOT NULL REFERENCES word(id),
  col     INTEGER NOT NULL REFERENCES word(id),
  act     INTEGER NOT NULL REFERENCES word(id),
  outcome INTEGER NOT NULL,                   -- 0 ok, 1 refused, 2 failed
  req     BLOB NOT NULL UNIQUE,               -- 16 bytes of the request id, or its text if it is no UUID
  leaf    BLOB NOT NULL,                      -- canonical JSON; q and ip in it are SHA-256(salt || value)
  q_salt  BLOB,
  q       TEXT,
  ip_salt BLOB,
  ip      TEXT
) STRICT;

CREATE UNIQUE INDEX event_scope ON event(agr, idx);
-- Holds all that is searched for: a question that no single index answers well reads this one alone.
CREATE INDEX event_at ON event(at, agr, who, cred, col, act, outcome);
CREATE INDEX event_who ON event(who, at);
CREATE INDEX event_cred ON event(cred, at);
CREATE INDEX event_col ON event(col, at);
CREATE INDEX event_act ON event(act, at);
CREATE INDEX event_outcome ON event(outcome, at) WHERE outcome <> 0;
