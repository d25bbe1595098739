-- What Postgres itself remembers of every write to a room: rows are only added. Written by triggers inside the transactions
-- that it tells of, so that what was taken back is not in it. A room's row is locked by whoever writes of it, so the
-- order of the ids is, for each room, the order of the writes.

CREATE TABLE public.chaos_entry (n bigserial PRIMARY KEY, room_id text NOT NULL, id text NOT NULL, epoch bigint NOT NULL);

CREATE TABLE public.chaos_log (
  id         bigserial PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  writer     text NOT NULL DEFAULT current_setting('application_name'),
  what       text NOT NULL,
  room_id    text NOT NULL,
  epoch      bigint NOT NULL,
  room_epoch bigint NOT NULL,
  seq        bigint,
  key        text
);
-- Statements that were to save something and saved nothing: the rule about stale owners stood in their way.
CREATE TABLE public.chaos_refused (at timestamptz NOT NULL DEFAULT clock_timestamp(), writer text NOT NULL, what text NOT NULL);

CREATE FUNCTION public.chaos_insert_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'this log is insert-only';
END $$;
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.chaos_log EXECUTE FUNCTION public.chaos_insert_only();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.chaos_entry EXECUTE FUNCTION public.chaos_insert_only();
CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.chaos_refused EXECUTE FUNCTION public.chaos_insert_only();

CREATE FUNCTION public.chaos_room() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  what text := CASE WHEN TG_OP = 'INSERT' THEN 'claim'
                    WHEN NEW.epoch <> OLD.epoch OR NEW.owner IS DISTINCT FROM OLD.owner AND NEW.owner IS NOT NULL THEN 'claim'
                    WHEN NEW.disposed_at IS NOT NULL AND OLD.disposed_at IS NULL THEN 'end'
                    WHEN NEW.owner IS NULL AND OLD.owner IS NOT NULL THEN 'release' END;
BEGIN
  IF what IS NOT NULL THEN
    INSERT INTO public.chaos_log (what, room_id, epoch, room_epoch) VALUES (what, NEW.room_id, NEW.epoch, NEW.epoch);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION public.chaos_checkpoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.chaos_log (what, room_id, epoch, room_epoch, seq)
  SELECT 'checkpoint', NEW.room_id, NEW.epoch, r.epoch, NEW.seq FROM ringside.room r WHERE r.room_id = NEW.room_id;
  RETURN NULL;
END $$;

CREATE FUNCTION public.chaos_seat() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE changed ringside.seat := coalesce(NEW, OLD);
BEGIN
  INSERT INTO public.chaos_log (what, room_id, epoch, room_epoch, key)
  SELECT 'seat', r.room_id, r.epoch, r.epoch, changed.session_id FROM ringside.room r WHERE r.room_id = changed.room_id;
  RETURN NULL;
END $$;

CREATE FUNCTION public.chaos_entered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.chaos_log (what, room_id, epoch, room_epoch, key)
  SELECT 'entry', NEW.room_id, NEW.epoch, r.epoch, NEW.id FROM ringside.room r WHERE r.room_id = NEW.room_id;
  RETURN NULL;
END $$;

CREATE FUNCTION public.chaos_refusal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM written) THEN
    INSERT INTO public.chaos_refused (writer, what) VALUES (current_setting('application_name'), TG_TABLE_NAME);
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER chaos_room AFTER INSERT OR UPDATE ON ringside.room FOR EACH ROW EXECUTE FUNCTION public.chaos_room();
-- Nothing overwrites a checkpoint; if something does, it is a write like any other.
CREATE TRIGGER chaos_checkpoint AFTER INSERT OR UPDATE OF snapshot ON ringside.checkpoint FOR EACH ROW EXECUTE FUNCTION public.chaos_checkpoint();
CREATE TRIGGER chaos_seat AFTER INSERT OR UPDATE OR DELETE ON ringside.seat FOR EACH ROW EXECUTE FUNCTION public.chaos_seat();
CREATE TRIGGER chaos_entered AFTER INSERT ON public.chaos_entry FOR EACH ROW EXECUTE FUNCTION public.chaos_entered();
CREATE TRIGGER chaos_no_checkpoint AFTER INSERT ON ringside.checkpoint REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION public.chaos_refusal();
CREATE TRIGGER chaos_no_seat AFTER INSERT ON ringside.seat REFERENCING NEW TABLE AS written
  FOR EACH STATEMENT EXECUTE FUNCTION public.chaos_refusal();
