-- Who a caller's token was derived from: what derived tokens were given is found although their rows are gone.
ALTER TABLE audit ADD COLUMN parent {text};
CREATE INDEX audit_parent ON audit (parent, token) WHERE parent IS NOT NULL;
