-- Credentials of kind certificate: their digest is the pin of a public key, and so never opens anything as a secret.
-- needs: 0.1.0

ALTER TABLE credential ADD COLUMN kind TEXT NOT NULL DEFAULT 'secret' CHECK (kind IN ('secret', 'certificate'));
