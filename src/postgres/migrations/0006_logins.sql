-- Who players are: logins, users who may not play for a while, and the keys that access tokens are signed with.

-- One row a login, from signing in until it is over. Of its refresh tokens only hashes are kept: of the newest, and of the one
-- that it replaced. `salt` went into the newest, so that whoever brings the one before is answered the same again; `told_at`:
-- when that answer had left. A row with `ended_at` is over before its time.
CREATE TABLE login (
  login_id      uuid PRIMARY KEY,
  user_id       text NOT NULL,
  is_guest      boolean NOT NULL,
  claims        text NOT NULL, -- JSON, like room.options
  generation    integer NOT NULL DEFAULT 0,
  token_hash    bytea NOT NULL,
  previous_hash bytea,
  salt          bytea,
  told_at       timestamptz,
  opened_at     timestamptz NOT NULL,
  refreshed_at  timestamptz NOT NULL,
  expires_at    timestamptz NOT NULL,
  ended_at      timestamptz,
  end_reason    text
) WITH (fillfactor = 70);

CREATE INDEX login_user ON login (user_id) WHERE ended_at IS NULL;
CREATE INDEX login_ended ON login (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX login_expires ON login (expires_at);

-- A user who may not play until then; 'infinity' is for good. One that was lifted stays for a while, with a time that is over.
CREATE TABLE suspension (
  user_id    text PRIMARY KEY,
  until      timestamptz NOT NULL,
  reason     text NOT NULL,
  changed_at timestamptz NOT NULL
);

CREATE INDEX suspension_changed ON suspension (changed_at);

-- `number` rises by one a key. It signs from `signs_at` on, when all nodes have learnt of it, until a newer one does; what it
-- has signed counts until `retires_at`.
CREATE TABLE signing_key (
  number      integer PRIMARY KEY,
  kid         text NOT NULL UNIQUE,
  public_key  text NOT NULL,
  private_key text NOT NULL,
  signs_at    timestamptz NOT NULL,
  retires_at  timestamptz
);

-- What refresh tokens are made and recognized with. It opens no login without the token.
CREATE TABLE login_secret (
  name   text PRIMARY KEY,
  secret bytea NOT NULL
);

-- Assertions of the game's backend that were used, until they would have expired: each counts once.
CREATE TABLE used_assertion (
  id_hash bytea PRIMARY KEY,
  until   timestamptz NOT NULL
);

CREATE INDEX used_assertion_until ON used_assertion (until);
