-- A derived token holds for as long as its parent accepts the secret that it was derived with.
ALTER TABLE tokens ADD COLUMN parent_hash {blob};
-- The token at the top, which was created: what is derived of it, at any depth, is counted by it.
ALTER TABLE tokens ADD COLUMN root {text};
-- A token that may be renewed: for how long at a time (milliseconds), and until when in all.
ALTER TABLE tokens ADD COLUMN renew_for {bigint};
ALTER TABLE tokens ADD COLUMN renew_until {bigint};
ALTER TABLE tokens ADD COLUMN last_used_at {bigint};
CREATE INDEX tokens_parent ON tokens (parent);
CREATE INDEX tokens_root ON tokens (root);

-- Roles that were made by the API; those of the settings are not here.
CREATE TABLE roles (
  name {text} PRIMARY KEY,
  permissions {text} NOT NULL,
  services {text},
  environments {text},
  secrets {text},
  paths {text},
  cidrs {text},
  updated_at {bigint} NOT NULL,
  updated_by {text} NOT NULL
);

-- Tokens of issuers are not in any table: a kill says which of those issued up to then are dead.
CREATE TABLE kills (
  seq {bigint} PRIMARY KEY,
  at {bigint} NOT NULL,
  issuer {text},
  subject {text},
  services {text},
  environments {text},
  spared {text},
  spared_at {bigint},
  roles {text}
);
