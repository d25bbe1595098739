-- Tell everyone that this incarnation is leaving: the ring no longer gives it rooms.
-- $1 incarnation uuid
-- One row when it was up; no row otherwise.
WITH leaving AS (
  UPDATE node SET state = 'draining' WHERE incarnation = $1::uuid AND state = 'up' RETURNING incarnation
)
SELECT nextval('view_version')::integer AS view_version, pg_notify(current_schema() || '_view', 'node:draining') FROM leaving;
