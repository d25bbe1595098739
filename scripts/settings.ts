// Prints the README's table of settings from the rows of src/config.ts: node scripts/settings.ts

import { settingsTable } from "../src/ops/settings-table.ts";

process.stdout.write(settingsTable());
