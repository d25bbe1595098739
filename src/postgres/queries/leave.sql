-- The last word of an incarnation: it is gone by its own will. Nothing it owned stays with it.
-- $1 incarnation uuid
-- One row when it was not down yet; no row otherwise.
WITH gone AS (
  UPDATE node SET state = 'down', down_at = clock_timestamp(), down_reason = 'left'
   WHERE incarnation = $1::uuid AND state <> 'down' RETURNING incarnation
), released AS (
  UPDATE room SET owner = NULL WHERE owner IN (SELECT incarnation FROM gone) AND disposed_at IS NULL
)
SELECT nextval('view_version')::integer AS view_version, pg_notify(current_schema() || '_view', 'node:left') FROM gone;
