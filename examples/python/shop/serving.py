"""A gRPC server with health and reflection around one service, and the program
around it."""

import argparse
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

# How long a stop waits for calls under way, in seconds. Only a client that watches
# the health never hangs up by itself.
STOP_GRACE = 2


def main(name: str, address: str, service: str, register: Callable[[grpc.Server], None]) -> None:
    """All of a program: serves at --listen, or at the address, until SIGTERM or
    SIGINT, and lets calls under way finish. The service is its full name."""
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--listen", default=address, metavar="HOST:PORT", help="default: %(default)s")
    listen = parser.parse_args().listen

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    # Without this option a second process would share the port in silence.
    server = grpc.server(ThreadPoolExecutor(), options=[("grpc.so_reuseport", 0)])
    register(server)
    describe(server, service)
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        sys.exit(f"{name} ended: --listen {listen}: {error}")
    server.start()
    print(f"{name} answers at {listen.rpartition(':')[0]}:{port}", file=sys.stderr, flush=True)
    stop.wait()
    server.stop(STOP_GRACE).wait()


def describe(server: grpc.Server, service: str) -> None:
    """Adds health, and reflection, from which others learn the service's types."""
    state = health.HealthServicer()
    for name in ("", service):
        state.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    reflection.enable_server_reflection((service, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
