"""Keys are found where AWS's own tools find them. The server takes any keys, but none are not enough."""

import base64
import contextlib
import hashlib
import http.server
import json
import threading

from .scene import Scene, has

KEYS = {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "made-up"}
SESSION = {**KEYS, "Token": "session", "Expiration": "2099-01-01T00:00:00Z"}
NONE = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None, "AWS_CONFIG_FILE": "/dev/null"}
NONE |= {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
TOKEN = "of-a-pod"


def reads(scene, environment):
    """A command that asks for landing, which is there, and for a commit, which is not."""
    found = scene.json("plan", environment=NONE | environment)
    assert found["landing"]["customer_landing"]["objects"] > 0, found


def no_keys_are_told_so(server, binaries):
    done = Scene(server, binaries).code(1, "plan", environment=NONE)
    has(done.stderr, "there are no AWS credentials")


def keys_of_a_profile(server, binaries):
    scene = Scene(server, binaries)
    path = server.folder / "credentials"
    names = {"aws_access_key_id": KEYS["AccessKeyId"], "aws_secret_access_key": KEYS["SecretAccessKey"]}
    path.write_text("[team]\n" + "".join(f"{name} = {value}\n" for name, value in names.items()))
    reads(scene, {"AWS_SHARED_CREDENTIALS_FILE": str(path), "AWS_PROFILE": "team"})


def keys_of_a_sign_in(server, binaries):
    """As IAM Identity Center gives them for what `aws sso login` left."""
    scene = Scene(server, binaries)
    home = server.folder / "home"
    tokens = home / ".aws/sso/cache"
    tokens.mkdir(parents=True)
    account = "sso_account_id = 000000000000\nsso_role_name = reader\n"
    session = "sso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n"
    path = home / "config"
    path.write_text(f"[default]\nsso_session = team\n{account}[sso-session team]\n{session}")
    cached = tokens / f"{hashlib.sha1(b'team').hexdigest()}.json"
    signed_in = {"accessToken": TOKEN, "region": "us-east-1"}
    cached.write_text(json.dumps({**signed_in, "expiresAt": "2099-01-01T00:00:00Z"}))
    keys = {"accessKeyId": KEYS["AccessKeyId"], "secretAccessKey": KEYS["SecretAccessKey"], "sessionToken": "session"}
    answers = {"/federation/credentials": json.dumps({"roleCredentials": {**keys, "expiration": 4070908800000}})}
    with agent(answers, "x-amz-sso_bearer_token") as address:
        variables = {"HOME": str(home), "AWS_CONFIG_FILE": str(path), "AWS_ENDPOINT_URL_SSO": f"http://{address}"}
        reads(scene, variables)
        cached.write_text(json.dumps({**signed_in, "expiresAt": "2020-01-01T00:00:00Z"}))
        has(scene.code(1, "plan", environment=NONE | variables).stderr, "credentials cannot be had")


def keys_of_a_process(server, binaries):
    scene = Scene(server, binaries)
    answer, path = server.folder / "answer.json", server.folder / "config"
    answer.write_text(json.dumps({"Version": 1, **KEYS}))
    path.write_text(f"[default]\ncredential_process = /bin/cat {answer}\n")
    reads(scene, {"AWS_CONFIG_FILE": str(path)})


def keys_of_a_web_identity(server, binaries):
    """As the service account of a pod has them on EKS (IRSA)."""
    scene = Scene(server, binaries)
    issuer = "oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE"
    provider = f"arn:aws:iam::000000000000:oidc-provider/{issuer}"
    trust = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = server.client("iam").create_role(RoleName="worker", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    token = server.folder / "token"
    claims = {"iss": f"https://{issuer}", "sub": "system:serviceaccount:a:b", "aud": "sts.amazonaws.com"}
    token.write_text(web_token(claims))
    variables = {"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": str(token)}
    reads(scene, variables)
    token.unlink()
    has(scene.code(1, "plan", environment=NONE | variables).stderr, "credentials cannot be had", "token file")


def web_token(claims):
    parts = ({"alg": "RS256"}, claims, {"no": "signature"})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


def keys_of_a_container(server, binaries):
    """As EKS Pod Identity and ECS give them."""
    scene = Scene(server, binaries)
    path = server.folder / "pod-token"
    path.write_text(TOKEN)
    with agent({"/v1/credentials": json.dumps(SESSION)}, "Authorization") as address:
        variables = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{address}/v1/credentials"}
        reads(scene, variables | {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(path)})


def keys_of_an_instance(server, binaries):
    """As EC2 gives them, by the second version of its protocol."""
    scene = Scene(server, binaries)
    roles = "/latest/meta-data/iam/security-credentials/"
    # the newer of the two kinds of paths is asked for first, and is not there
    answers = {roles: "worker", f"{roles}worker": json.dumps({"Code": "Success", **SESSION})}
    with agent(answers, "x-aws-ec2-metadata-token") as address:
        variables = {"AWS_EC2_METADATA_DISABLED": None, "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{address}"}
        reads(scene, variables)


@contextlib.contextmanager
def agent(answers, header):
    """Gives what is in `answers` to those who know the token; yields its address."""

    class Agent(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            known = self.headers[header] == TOKEN
            self.answer(answers.get(self.path.partition("?")[0]) if known else None, 404 if known else 403)

        def do_PUT(self):
            self.answer(TOKEN if self.path == "/latest/api/token" else None, 404)

        def answer(self, body, otherwise):
            self.send_response(otherwise if body is None else 200)
            self.send_header("x-aws-ec2-metadata-token-ttl-seconds", "600")
            self.send_header("Content-Length", str(len(body or "")))
            self.end_headers()
            self.wfile.write((body or "").encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Agent) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{listener.server_port}"
        listener.shutdown()


CASES = [
    no_keys_are_told_so,
    keys_of_a_profile,
    keys_of_a_sign_in,
    keys_of_a_process,
    keys_of_a_web_identity,
    keys_of_a_container,
    keys_of_an_instance,
]
