// What this cluster plays. A room is an ordinary Colyseus room; `defineCluster` takes what `defineServer` takes.

import { fileURLToPath } from "node:url";
import { defineRoom } from "@colyseus/core";
import express from "express";
import { defineCluster } from "../src/index.ts";
import { ArenaRoom } from "./arena/arena-room.ts";
import { DuelRoom } from "./duel/duel-room.ts";
import { ShopRoom } from "./shop/shop-room.ts";
import { createShopTables } from "./shop/shop-tables.ts";

/** The demo page, as Vite built it (`npm start` does so when it is missing or old). */
const PAGE = fileURLToPath(new URL("../client-demo/dist", import.meta.url));

export default defineCluster({
  rooms: {
    arena: defineRoom(ArenaRoom),
    duel: defineRoom(DuelRoom),
    shop: defineRoom(ShopRoom),
  },
  // The database that Ringside uses, too: a commit writes into both's tables in one transaction.
  beforeListen: () => createShopTables(process.env["DATABASE_URL"]),
  express: (app) => {
    app.disable("x-powered-by");
    app.use(express.static(PAGE));
  },
});
