/** A bare connect-node server, to hold start-up time and memory against. */
import { createServer } from "node:http";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { AuthService } from "@vestibule/proto/vestibule/v1/auth_service_pb";

const routes = (router: import("@connectrpc/connect").ConnectRouter) =>
  router.service(AuthService, { listAuthStrategies: () => ({ strategies: [] }) });
createServer(connectNodeAdapter({ routes })).listen(Number(process.env.BENCH_PORT), "127.0.0.1");
