-- Checkpoints that stand on an older one, a history of whole ones, and room classes with versions.

-- A checkpoint with a base holds only what differs from it. Whole ones that are `kept` outlive the last generations: they
-- are the bases, and the room's history. What could not be read when its room opened stays as evidence, with the reason.
ALTER TABLE checkpoint
  ADD COLUMN base_seq          bigint,
  ADD COLUMN kept              boolean NOT NULL DEFAULT false,
  ADD COLUMN unreadable_reason text,
  -- A statement that writes a checkpoint holds its room's row; to look that up again for each one took a fifth of the time.
  DROP CONSTRAINT checkpoint_room_id_fkey,
  -- It is compressed already.
  ALTER COLUMN snapshot SET STORAGE EXTERNAL,
  -- Every save leaves a dead row behind, and the rows are few.
  SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.2);

CREATE INDEX checkpoint_kept ON checkpoint (saved_at) WHERE kept;

-- The `checkpointVersion` of the class that saved it last: a node with an older class leaves it alone.
ALTER TABLE room ADD COLUMN class_version integer NOT NULL DEFAULT 0;
