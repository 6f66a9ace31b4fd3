-- Signed suspensions, and what ended one early: one numbered chain for each agreement, never changed.
-- needs: 0.1.0

CREATE TABLE suspension (
  agreement         TEXT    NOT NULL,
  number            INTEGER NOT NULL CHECK (number >= 1),
  agreement_version INTEGER NOT NULL,   -- in force when it was taken: its root keys signed
  digest            TEXT    NOT NULL,   -- hex SHA-256 of its payload
  envelope          BLOB    NOT NULL,
  applied           INTEGER NOT NULL,
  PRIMARY KEY (agreement, number)
) STRICT, WITHOUT ROWID;
