// The pages. Each has a pattern of its path; the first that matches is shown.
import type { ComponentType } from "preact";
import { Key } from "./pages/key/Key";
import { Keys } from "./pages/keys/Keys";
import { Create, Edit } from "./pages/create/Create";
import { Issuer } from "./pages/issuers/Issuer";
import { Issuers } from "./pages/issuers/Issuers";
import { Mine } from "./pages/sessions/Mine";
import { Sessions } from "./pages/sessions/Sessions";
import { Verify } from "./pages/verify/Verify";

export interface PageProps {
  params: Record<string, string>;
}

export interface PageRoute {
  pattern: string;
  page: ComponentType<PageProps>;
}

export const routes: PageRoute[] = [
  { pattern: "", page: Keys },
  { pattern: "signin", page: Keys },
  { pattern: "keys", page: Keys },
  { pattern: "keys/:ns/:name", page: Key },
  { pattern: "keys/new", page: Create },
  { pattern: "keys/:ns/:name/edit", page: Edit },
  { pattern: "issuers", page: Issuers },
  { pattern: "issuers/:name", page: Issuer },
  { pattern: "sessions", page: Sessions },
  { pattern: "me/sessions", page: Mine },
  { pattern: "verify", page: Verify },
];
