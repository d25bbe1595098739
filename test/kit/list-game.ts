// A room that is patched only when somebody asks for its state: what it says between two patches is then known to a test.

import { defineCluster } from "../../src/index.ts";
import { QuietRoom } from "./probe-room.ts";

class ListRoom extends QuietRoom {
  override patchRate = null;

  constructor() {
    super();
    Object.assign(this.messages, { shift: (): unknown => this.state.trail.shift() });
  }
}

export default defineCluster({ rooms: { list: ListRoom } });
