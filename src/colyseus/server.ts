// Colyseus itself, set up to be one of many. Its matchmaker lives in module state, so there is one node a process;
// this file is the only one that sets it up, and takes it down without its own ideas of a graceful shutdown.

import type { IncomingMessage, RequestListener } from "node:http";
import {
  defineServer,
  matchMaker,
  RegisteredHandler,
  type Room,
  type RoomDefinitions,
  type Server,
  type ServerOptions,
} from "@colyseus/core";
import type { RoomLogins } from "../auth/room-auth.ts";
import type { SessionMode } from "../auth/sessions.ts";
import { rolesOf, type Config } from "../config.ts";
import type { RoomId } from "../ids.ts";
import type { RedisLink } from "../redis/link.ts";
import type { DirectLine, LineAnswers } from "./direct-line.ts";
import { guardCors } from "./cors.ts";
import { askForLogins } from "./hosted-logins.ts";
import { hostedClass } from "./hosted-class.ts";
import { guardPanels } from "./panel-guard.ts";
import { ClusterPresence } from "./redis-presence.ts";
import { RoomListing } from "./room-listing.ts";
import type { RoomGuard } from "./room-guard.ts";
import { ROOM_ID_OPTION } from "./room-guard.ts";
import { RoomTransport } from "./room-transport.ts";
import { RoomWhereabouts } from "./room-whereabouts.ts";
import { asServerError } from "./server-error.ts";

/** What a game is made of: what Colyseus's `defineServer` takes, less what Ringside brings itself. */
export type GameOptions = Omit<
  ServerOptions,
  | "transport"
  | "presence"
  | "driver"
  | "server"
  | "gracefullyShutdown"
  | "selectProcessIdToCreateRoom"
  | "publicAddress"
> & {
  readonly rooms: RoomDefinitions;
  readonly routes?: Server["router"];
  /**
   * Served on the management port, beside what Ringside has there: an Express app, say, with Colyseus's monitor. Whoever reaches
   * that port may use it, so it is bound to loopback unless MANAGEMENT_HOST says otherwise.
   */
  readonly management?: RequestListener;
  /** What Ringside itself is told. */
  readonly ringside?: {
    /** Who players are (README, "Who is it"); the setting SESSIONS has the last word. */
    readonly sessions?: SessionMode;
  };
};

export interface ColyseusParts {
  readonly game: GameOptions;
  readonly guard: RoomGuard;
  readonly config: Config;
  readonly link: RedisLink;
  readonly line: DirectLine;
  /** Where a new room should be, by its new id. */
  readonly place: () => { readonly roomId: RoomId; readonly processId: string };
  /** A room is about to be made. Rejects when it may not be. */
  readonly countNewRoom: () => Promise<void>;
  /** Whether a request may see Colyseus's own panels. */
  readonly maySeePanels: (request: IncomingMessage) => boolean;
  /** Whether players may be sent straight to this node now. */
  readonly takesPlayers: () => boolean;
  /** The rooms on this node. */
  readonly rooms: () => Iterable<Room>;
  readonly onError: (error: unknown) => void;
  /** Where players are signed in. */
  readonly logins: RoomLogins | undefined;
}

export class Colyseus {
  readonly transport: RoomTransport;
  readonly listing: RoomListing;
  readonly #server: Server;
  readonly #presence: ClusterPresence;
  readonly #whereabouts: RoomWhereabouts;
  readonly #roomNames: readonly string[];
  readonly #maySeePanels: ColyseusParts["maySeePanels"];
  readonly #hasExpress: boolean;

  constructor(parts: ColyseusParts) {
    const { management: _, ...game } = parts.game;
    const { guard, config, link, line, logins, place, rooms, takesPlayers, onError } = parts;
    if (logins !== undefined) askForLogins(logins);
    this.transport = new RoomTransport(guard, {}, onError);
    const ownRooms = (): Room[] => [...rooms()].filter((room) => this.has(room));
    // A node that never takes players has no address for them.
    const publicAddress = rolesOf(config).includes("gateway") ? config.publicAddress : "";
    this.#whereabouts = new RoomWhereabouts(() => ({
      processId: matchMaker.processId,
      publicAddress: takesPlayers() && publicAddress !== "" ? publicAddress : undefined,
    }));
    const whereabouts = this.#whereabouts;
    this.listing = new RoomListing({ link, line, ownRooms, whereabouts, onError });
    this.#presence = new ClusterPresence({ config, link, line, whereabouts, onError });
    this.#maySeePanels = parts.maySeePanels;
    this.#hasExpress = game.express !== undefined;
    guardCors();
    this.#roomNames = Object.keys(game.rooms);
    // Its health checks delete the listings of nodes that are only slow; membership/ knows better who lives.
    matchMaker.setHealthChecksEnabled(false);
    this.#server = defineServer({
      ...game,
      rooms: hostedRooms(game.rooms, guard, logins),
      transport: this.transport,
      presence: this.#presence,
      driver: this.listing,
      // Stands in the rows of this node's rooms, which are written anew where they are opened anew.
      publicAddress,
      gracefullyShutdown: false,
      greet: false,
      selectProcessIdToCreateRoom: async (_roomName, options: Record<string, unknown> | undefined) => {
        try {
          await parts.countNewRoom();
          const { roomId, processId } = place();
          // Colyseus passes this very object on to the node that creates the room. A client's own value is overwritten.
          if (options !== undefined) options[ROOM_ID_OPTION] = roomId;
          return processId;
        } catch (error) {
          throw asServerError(error);
        }
      },
    } as Parameters<typeof defineServer>[0]);
  }

  /** Colyseus's name for this process. */
  get processId(): string {
    return matchMaker.processId;
  }

  /** Binds the routes and starts to take part in matchmaking. No port is opened. */
  async start(): Promise<void> {
    await this.#server.listen(0);
    if (this.#hasExpress) guardPanels(this.transport, this.#maySeePanels);
  }

  /** What this node answers others with. */
  get answers(): LineAnswers {
    return {
      deliver: (request, signal) => this.#presence.deliver(request, signal),
      ownRows: (roomId) => this.listing.ownRows(roomId),
      whereabouts: this.#whereabouts,
    };
  }

  /** Tells Redis again what it is told only now and then. @throws when Redis fails */
  async renew(): Promise<void> {
    await matchMaker.stats.persist(true);
    await this.#presence.forgetLocks(this.#roomNames);
  }

  /** Whether Colyseus has this very room, so that players can be led to it: not yet while it is being created. */
  has(room: Room): boolean {
    return matchMaker.getLocalRoomById(room.roomId) === room;
  }

  stop(): void {
    this.transport.shutdown();
    this.#presence.shutdown();
  }
}

/** The same rooms under the same names and options, of classes that Ringside can host. */
function hostedRooms(
  rooms: RoomDefinitions,
  guard: RoomGuard,
  logins: RoomLogins | undefined,
): RoomDefinitions {
  return Object.fromEntries(
    Object.entries(rooms).map(([name, definition]) => {
      const handler = isHandler(definition) ? definition : new RegisteredHandler(definition);
      handler.klass = hostedClass(handler.klass as new () => Room, guard, logins);
      return [name, handler];
    }),
  );
}

function isHandler(definition: RoomDefinitions[string]): definition is RegisteredHandler {
  return typeof definition === "object" && "klass" in definition;
}
