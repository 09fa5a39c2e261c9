-- {bigint}, {blob} and {text} are the dialect's 64-bit integer, byte string, and text that compares by its bytes; {clustered} has rows lie in their key's own tree, which saves a page
-- a write, where the dialect can. Times are Unix milliseconds, lists are JSON.

-- epoch (text), release and journal (the locked counters), format (number), keys (data)
CREATE TABLE meta (
  name {text} PRIMARY KEY,
  text {text},
  number {bigint},
  data {blob}
);

-- What happened, in order. Token and role entries make no release.
CREATE TABLE journal (
  seq {bigint} PRIMARY KEY,
  release {bigint},
  kind {text} NOT NULL,
  actor {text} NOT NULL,
  at {bigint} NOT NULL,
  message {text}
);
CREATE UNIQUE INDEX journal_release ON journal (release);

-- The state at release n is, of each of these tables, and of shapes,, the last row with release <= n.
CREATE TABLE refs (
  name {text} NOT NULL,
  release {bigint} NOT NULL,
  commit_id {text},
  PRIMARY KEY (name, release)
) {clustered};
CREATE TABLE activations (
  secret {text} NOT NULL,
  release {bigint} NOT NULL,
  version {bigint},
  PRIMARY KEY (secret, release)
) {clustered};
CREATE TABLE pins (
  service {text} NOT NULL,
  environment {text} NOT NULL,
  release {bigint} NOT NULL,
  target {bigint},
  PRIMARY KEY (service, environment, release)
) {clustered};

-- The settings that shape documents, by the release that first had them.
CREATE TABLE shapes (
  release {bigint} PRIMARY KEY,
  hash {text} NOT NULL,
  settings {text} NOT NULL
);

CREATE TABLE secrets (
  id {text} PRIMARY KEY,
  mount {text} NOT NULL,
  latest {bigint} NOT NULL,
  created_at {bigint} NOT NULL,
  created_by {text} NOT NULL,
  deleted_at {bigint}
);
-- state: staged, active, superseded, destroyed. Values of mounts are never here.
CREATE TABLE secret_versions (
  id {text} NOT NULL,
  version {bigint} NOT NULL,
  store_version {text},
  state {text} NOT NULL,
  wrapped_key {blob},
  ciphertext {blob},
  created_at {bigint} NOT NULL,
  created_by {text} NOT NULL,
  destroyed_at {bigint},
  PRIMARY KEY (id, version)
);
-- One at most for each secret: who asks for it does not go through all its versions.
CREATE INDEX secret_versions_active ON secret_versions (id, version) WHERE state = 'active';

-- Known documents; label '' is the tracked branch.
CREATE TABLE documents (
  service {text} NOT NULL,
  environment {text} NOT NULL,
  label {text} NOT NULL,
  last_served_at {bigint} NOT NULL,
  PRIMARY KEY (service, environment, label)
);
CREATE TABLE document_changes (
  service {text} NOT NULL,
  environment {text} NOT NULL,
  label {text} NOT NULL,
  release {bigint} NOT NULL,
  valid INTEGER NOT NULL,
  etag {text},
  keys {text},
  PRIMARY KEY (service, environment, label, release)
) {clustered};
CREATE INDEX document_changes_release ON document_changes (release);

CREATE TABLE tokens (
  id {text} PRIMARY KEY,
  name {text} NOT NULL UNIQUE,
  hash {blob} NOT NULL,
  previous_hash {blob},
  previous_until {bigint},
  parent {text},
  role {text} NOT NULL,
  services {text},
  environments {text},
  secrets {text},
  cidrs {text},
  created_at {bigint} NOT NULL,
  created_by {text} NOT NULL,
  expires_at {bigint},
  revoked_at {bigint}
);

-- One HMAC chain per node: mac = HMAC(key, previous mac | entry).
CREATE TABLE audit (
  node {text} NOT NULL,
  seq {bigint} NOT NULL,
  at {bigint} NOT NULL,
  action {text} NOT NULL,
  token {text},
  entry {text} NOT NULL,
  mac {blob} NOT NULL,
  PRIMARY KEY (node, seq)
) {clustered};
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_token ON audit (token, at);
