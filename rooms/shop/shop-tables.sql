-- The shop's own table, in a schema of its own choice, beside Ringside's: what changed hands in all markets, a row for each time. Rows are never changed.
-- What a player has in a market is what came to them, less what they paid: the room's state says the same.
SELECT pg_advisory_xact_lock(hashtext('shop-tables')); -- nodes that start together take turns
CREATE TABLE IF NOT EXISTS public.shop_ledger (
  market  text NOT NULL, -- the room's id
  payer   text NOT NULL, -- a player, or 'market'
  key     text NOT NULL, -- the payer's, for this one time
  payee   text NOT NULL,
  item    text,          -- null when only coins changed hands
  coins   integer NOT NULL CHECK (coins > 0),
  paid_at timestamptz NOT NULL DEFAULT now(),
  -- Commands are carried out once for each key. Should that ever fail, this refuses the second time.
  PRIMARY KEY (market, payer, key)
);
