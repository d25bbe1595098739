// The panels that Colyseus's packages make (monitor, playground), found in the game's Express app by how they are made: a
// middleware that carries its endpoints as properties (`dualModeEndpoints` of core). To who may not see them they are not there.

import type { IncomingMessage } from "node:http";
import type { RoomTransport } from "./room-transport.ts";

type Handle = (request: IncomingMessage, response: unknown, next: (error?: unknown) => void) => unknown;
interface Layer {
  handle: Handle & { stack?: Layer[] };
  readonly route?: { readonly stack: Layer[] };
}

/**
 * Puts a guard before each panel, once the game has mounted them.
 *
 * @returns how many there are
 */
export function guardPanels(transport: RoomTransport, maySee: (request: IncomingMessage) => boolean): number {
  // Express 5: the router's layers, each with its handler. Reading it makes it, if the game has no routes.
  const app = transport.getExpressApp() as unknown as { readonly router?: { readonly stack?: Layer[] } };
  return guardLayers(app.router?.stack ?? [], maySee);
}

function guardLayers(layers: Layer[], maySee: (request: IncomingMessage) => boolean): number {
  let found = 0;
  for (const layer of layers) {
    if (isPanelHandle(layer.handle)) {
      const { handle } = layer;
      layer.handle = (request, response, next) =>
        maySee(request) ? handle(request, response, next) : next();
      found += 1;
    } else {
      found += guardLayers(layer.handle.stack ?? [], maySee);
      found += guardLayers(layer.route?.stack ?? [], maySee);
    }
  }
  return found;
}

function isPanelHandle(handle: Handle): boolean {
  return Object.values(handle).some((value: unknown) => {
    const endpoint = value as { path?: unknown; options?: unknown } | null;
    return (
      typeof value === "function" && typeof endpoint?.path === "string" && endpoint.options !== undefined
    );
  });
}
