-- What each node is for. A node of the version before takes players and rooms, and knows of no other kind.
ALTER TABLE node ADD COLUMN roles text[] NOT NULL DEFAULT '{gateway,rooms}';
