"""Calls the server as a Python program would; prints a line of JSON for each case.

Arguments: address of the server, address of one with TLS and its certificate,
and the credential. Generated code is on the path.
"""

import asyncio
import json
import sys
import time
import traceback
import urllib.request
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from vestibule.v1 import audit_service_pb2 as audit
from vestibule.v1 import audit_service_pb2_grpc as audit_grpc
from vestibule.v1 import auth_service_pb2 as auth
from vestibule.v1 import auth_service_pb2_grpc as auth_grpc
from vestibule.v1 import service_user_service_pb2 as service_users
from vestibule.v1 import service_user_service_pb2_grpc as service_users_grpc

address, tls_address, certificate_file, credential = sys.argv[1:]
metadata = [("authorization", "Basic " + b64encode(credential.encode()).decode())]
wrong = [("authorization", "Basic " + b64encode(credential.encode() + b"x").decode())]
# For a busy machine: nothing here takes a second by itself.
patience = 60


@contextmanager
def case(name):
    try:
        yield
        print(json.dumps({"name": name, "failure": None}), flush=True)
    except Exception:
        print(json.dumps({"name": name, "failure": traceback.format_exc()}), flush=True)


@contextmanager
def refused(code):
    """What the block raises, filled in when it has."""
    caught = []
    try:
        yield caught
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()}, not {code}: {error.details()}"
        caught.append(error)
        return
    raise AssertionError(f"not refused with {code}")


def metric(name):
    """The sum of the samples that begin so."""
    with urllib.request.urlopen(f"http://{address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def eventually(check, what):
    deadline = time.monotonic() + patience
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def open_streams():
    """How many requests there are beside that for the metrics."""
    return metric("vestibule_requests_in_flight ") - 1


def retrying(attempts, code):
    """Options of a channel that makes a call again when it was refused with that code."""
    policy = {
        "maxAttempts": attempts,
        "initialBackoff": "0.1s",
        "maxBackoff": "0.1s",
        "backoffMultiplier": 1,
        "retryableStatusCodes": [code],
    }
    return [("grpc.service_config", json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]}))]


channel = grpc.insecure_channel(address)
auth_stub = auth_grpc.AuthServiceStub(channel)
audit_stub = audit_grpc.AuditServiceStub(channel)
users_stub = service_users_grpc.ServiceUserServiceStub(channel)


def current_user(stub=auth_stub, timeout=patience, **options):
    answer = stub.GetCurrentUser(auth.GetCurrentUserRequest(), metadata=metadata, timeout=timeout, **options)
    assert answer.serviceuser.title == "Bootstrap", answer


with case("unary"):
    current_user()

with case("metadata, both ways"):
    _, call = auth_stub.GetCurrentUser.with_call(
        auth.GetCurrentUserRequest(), metadata=[*metadata, ("x-request-id", "python-1")], timeout=patience
    )
    assert dict(call.initial_metadata())["x-request-id"] == "python-1", call.initial_metadata()
    assert call.code() == grpc.StatusCode.OK

with case("no metadata"):
    with refused(grpc.StatusCode.UNAUTHENTICATED) as caught:
        auth_stub.GetCurrentUser(auth.GetCurrentUserRequest(), timeout=patience)
    assert caught[0].details() != ""

with case("details of an error"):
    with refused(grpc.StatusCode.NOT_FOUND) as caught:
        users_stub.GetServiceUser(
            service_users.GetServiceUserRequest(id="018f4d3e-9c1a-7cc2-8f0e-5b7f8e2d1a00", org_id="default"),
            metadata=metadata,
            timeout=patience,
        )
    status = rpc_status.from_call(caught[0])
    assert status.message == caught[0].details(), status
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info) and info.reason != "", status

with case("a rule of the schema"):
    with refused(grpc.StatusCode.INVALID_ARGUMENT) as caught:
        audit_stub.ListAuditRecords(
            audit.ListAuditRecordsRequest(org_id="x" * 201), metadata=metadata, timeout=patience
        )
    assert "org_id" in caught[0].details()

with case("a message over the limit"):
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
        audit_stub.ListAuditRecords(
            audit.ListAuditRecordsRequest(org_id="x" * (2 << 20)), metadata=metadata, timeout=patience
        )
    current_user()

with case("an unknown method"):
    unknown = channel.unary_unary("/vestibule.v1.AuthService/Unknown")
    with refused(grpc.StatusCode.UNIMPLEMENTED):
        unknown(b"", metadata=metadata, timeout=patience)

with case("gzip"):
    current_user(compression=grpc.Compression.Gzip)

with case("a deadline that passes"):
    stream = audit_stub.TailAuditRecords(audit.TailAuditRecordsRequest(), metadata=metadata, timeout=2)
    with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
        for _ in stream:
            pass
    eventually(lambda: open_streams() == 0, "the server goes on after the deadline")

with case("a deadline that has passed"):
    with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
        current_user(timeout=0)

with case("a deadline of a lifetime"):
    current_user(timeout=10**7)

with case("a stream, cancelled"):
    stream = audit_stub.TailAuditRecords(audit.TailAuditRecordsRequest(), metadata=metadata)
    assert not next(stream).HasField("record")
    eventually(lambda: open_streams() == 1, "the server has no stream")
    current_user()
    stream.cancel()
    with refused(grpc.StatusCode.CANCELLED):
        next(stream)
    eventually(lambda: open_streams() == 0, "the server goes on with a cancelled stream")

with case("a stream's records"):
    stream = audit_stub.TailAuditRecords(
        audit.TailAuditRecordsRequest(action="service_user.create"), metadata=metadata, timeout=patience
    )
    next(stream)
    users_stub.CreateServiceUser(
        service_users.CreateServiceUserRequest(org_id="default", body={"title": "from Python"}),
        metadata=metadata,
        timeout=patience,
    )
    record = next(message.record for message in stream if message.HasField("record"))
    assert record.action == "service_user.create", record
    stream.cancel()

with case("many calls on one connection"):
    with ThreadPoolExecutor(20) as pool:
        for done in [pool.submit(current_user) for _ in range(200)]:
            done.result()

with case("a retried refusal reaches the server each time"):

    def refusals():
        route = "/vestibule.v1.AuthService/GetCurrentUser"
        return metric(f'vestibule_requests_total{{route="{route}",code="unauthenticated"')

    with grpc.insecure_channel(address, options=retrying(3, "UNAUTHENTICATED")) as retried:
        before = refusals()
        with refused(grpc.StatusCode.UNAUTHENTICATED):
            auth_grpc.AuthServiceStub(retried).GetCurrentUser(
                auth.GetCurrentUserRequest(), metadata=wrong, timeout=patience
            )
        eventually(lambda: refusals() == before + 3, f"{refusals() - before} attempts, not 3")

with case("TLS"):
    with open(certificate_file, "rb") as certificate:
        trusted = grpc.ssl_channel_credentials(certificate.read())
    with grpc.secure_channel(tls_address, trusted) as secure:
        current_user(auth_grpc.AuthServiceStub(secure))

with case("TLS, untrusted"):
    with grpc.secure_channel(tls_address, grpc.ssl_channel_credentials()) as secure:
        with refused(grpc.StatusCode.UNAVAILABLE):
            current_user(auth_grpc.AuthServiceStub(secure))

with case("health"):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", "vestibule.v1.AuthService"]:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=patience)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, answer
    with refused(grpc.StatusCode.NOT_FOUND):
        health.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=patience)
    watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=patience)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()

with case("reflection, and a call by nothing else"):
    database = ProtoReflectionDescriptorDatabase(channel)
    names = database.get_services()
    assert "vestibule.v1.AuthService" in names, names
    pool = descriptor_pool.DescriptorPool(database)
    for name in names:
        assert len(pool.FindServiceByName(name).methods) > 0, name
    method = pool.FindServiceByName("vestibule.v1.AuthService").methods_by_name["GetCurrentUser"]
    request, response = (
        message_factory.GetMessageClass(type) for type in (method.input_type, method.output_type)
    )
    call = channel.unary_unary(
        "/vestibule.v1.AuthService/GetCurrentUser", request.SerializeToString, response.FromString
    )
    assert call(request(), metadata=metadata, timeout=patience).serviceuser.title == "Bootstrap"


async def with_asyncio():
    async with grpc.aio.insecure_channel(address) as channel:
        stub = auth_grpc.AuthServiceStub(channel)
        answers = await asyncio.gather(
            *(
                stub.GetCurrentUser(auth.GetCurrentUserRequest(), metadata=metadata, timeout=patience)
                for _ in range(50)
            )
        )
        assert all(answer.serviceuser.title == "Bootstrap" for answer in answers)
        stream = audit_grpc.AuditServiceStub(channel).TailAuditRecords(
            audit.TailAuditRecordsRequest(), metadata=metadata
        )
        await stream.read()
        stream.cancel()
        assert await stream.code() == grpc.StatusCode.CANCELLED
    eventually(lambda: open_streams() == 0, "the server goes on with a cancelled stream")


with case("asyncio"):
    asyncio.run(with_asyncio())

# The last: the server ends now and starts again at the same address, as it is told here.
with case("a channel outlives its server"):
    print(json.dumps({"tell": "stop"}), flush=True)
    assert sys.stdin.readline() == "stop\n"
    with refused(grpc.StatusCode.UNAVAILABLE):
        current_user()
    print(json.dumps({"tell": "start"}), flush=True)
    assert sys.stdin.readline() == "start\n"
    current_user(wait_for_ready=True)
