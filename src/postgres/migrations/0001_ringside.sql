-- Nodes and their leases, rooms with owner and epoch, checkpoints, seats, the event log.

-- One row an incarnation. `state` only moves on: up, draining, down. A row that is down never comes back.
CREATE TABLE node (
  incarnation     uuid PRIMARY KEY,
  node_id         text NOT NULL,
  process_id      text NOT NULL,
  host            text NOT NULL,
  pid             integer NOT NULL,
  public_port     integer NOT NULL,
  internal_port   integer NOT NULL,
  management_port integer NOT NULL,
  state           text NOT NULL CHECK (state IN ('up', 'draining', 'down')),
  lease_until     timestamptz NOT NULL,
  renewed_at      timestamptz NOT NULL,
  started_at      timestamptz NOT NULL,
  down_at         timestamptz,
  down_reason     text
) WITH (fillfactor = 50);

CREATE INDEX node_not_down ON node (node_id) WHERE state <> 'down';

-- The number of the newest view: it moves on whenever a node arrives, drains or is marked down.
CREATE SEQUENCE view_version;

-- One row a room. A room that has ended keeps its row for a while (`disposed_at`), so that an id which is used
-- again goes on counting its epochs.
CREATE TABLE room (
  room_id            text PRIMARY KEY,
  name               text NOT NULL,
  options            text, -- JSON, as it came: jsonb refuses characters that players may send
  owner              uuid,
  owner_node         text,
  epoch              bigint NOT NULL,
  players            integer NOT NULL DEFAULT 0,
  failed_opens       integer NOT NULL DEFAULT 0,
  retry_at           timestamptz,
  created_at         timestamptz NOT NULL,
  claimed_at         timestamptz NOT NULL,
  disposed_at        timestamptz,
  quarantined_at     timestamptz,
  quarantine_reason  text
) WITH (fillfactor = 70);

CREATE INDEX room_owner ON room (owner) WHERE disposed_at IS NULL;
CREATE INDEX room_disposed ON room (disposed_at) WHERE disposed_at IS NOT NULL;

-- The last generations of each room's saved state. `seq` rises by one a checkpoint, through all epochs.
CREATE TABLE checkpoint (
  room_id  text NOT NULL REFERENCES room ON DELETE CASCADE,
  seq      bigint NOT NULL,
  epoch    bigint NOT NULL,
  saved_at timestamptz NOT NULL,
  bytes    integer NOT NULL,
  snapshot bytea NOT NULL,
  PRIMARY KEY (room_id, seq)
);

-- A player's place in a room, kept while they are away. Written before the player is told of having joined.
CREATE TABLE seat (
  room_id    text NOT NULL REFERENCES room ON DELETE CASCADE,
  session_id text NOT NULL,
  token_hash bytea NOT NULL,
  options    text, -- JSON, like room.options
  auth       text,
  taken_at   timestamptz NOT NULL,
  PRIMARY KEY (room_id, session_id)
);

-- What happened, in order. Rows are added and, past the number kept, pruned; never changed.
CREATE TABLE event (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at       timestamptz NOT NULL,
  name     text NOT NULL,
  node_id  text NOT NULL,
  room_id  text,
  epoch    bigint,
  facts    json NOT NULL
);

CREATE INDEX event_by_name ON event (name, id);
