// The catalogue: what each fault does, how it ends, and what shows that it came to pass.

import type { Fault } from "./fault.ts";
import { LINK_FAULTS } from "./link-faults.ts";
import { NODE_FAULTS } from "./node-faults.ts";
import type { FaultName } from "./plan.ts";
import { STORE_FAULTS } from "./store-faults.ts";

export const FAULTS: Readonly<Record<FaultName, Fault>> = { ...NODE_FAULTS, ...LINK_FAULTS, ...STORE_FAULTS };
