-- Reconnection tokens that change at each use.

-- `previous_hash` is of the token that was replaced by the newest: it opens the seat as well until the player is known to have
-- heard of the new one (`is_heard`). `token_no` rises with each change, so that one that comes late changes nothing.
-- `login_hash` is of the auth token that the player's client joined with, if it sent one.
ALTER TABLE seat
  ADD COLUMN previous_hash bytea,
  ADD COLUMN is_heard      boolean NOT NULL DEFAULT true,
  ADD COLUMN token_no      integer NOT NULL DEFAULT 0,
  ADD COLUMN login_hash    bytea;
