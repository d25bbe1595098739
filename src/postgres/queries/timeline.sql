-- Which timeline Postgres is on, by the first epoch that it hands out. It rises when a standby is promoted.
-- No parameters. One row {first_epoch}.
SELECT next_epoch(0)::double precision AS first_epoch;
