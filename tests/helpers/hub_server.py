"""A Hugging Face Hub for tests, built on the standard library.

The unmodified `huggingface_hub` and `datasets` reach it through HF_ENDPOINT. It keeps every commit
with all its files, checks the digests of uploads, and injects faults on request:

    with HubServer() as hub:
        hub.fail("PUT /lfs", status=500, times=2)
        ...
        hub.commits("tester/model")[-1].files["config.json"]
"""

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import socket
import threading
import urllib.parse

TOKEN, READ_TOKEN, USER = (
    "hf_testtokentesttokentesttoken",
    "hf_readtokenreadtokenreadtoken",
    "tester",
)
LFS_SUFFIXES = (".safetensors", ".bin", ".pt", ".parquet", ".png", ".model", ".zip")


@dataclasses.dataclass
class Commit:
    """A commit with its whole tree."""

    oid: str
    message: str
    files: dict[str, bytes]  # of the whole tree
    changed: set[str]  # paths that were added, replaced or deleted


@dataclasses.dataclass
class Repo:
    """A repository: its commits and branches."""

    kind: str  # "model" or "dataset"
    id: str
    private: bool = False
    commits: list[Commit] = dataclasses.field(default_factory=list)
    branches: dict[str, str] = dataclasses.field(default_factory=dict)  # name -> oid

    def commit(self, message, changes: dict[str, bytes | None], branch="main") -> Commit:
        """Add a commit to `branch`; None deletes a path, or a whole folder if it ends in "/"."""
        files = dict(self.at(branch).files) if branch in self.branches else {}
        for path, content in changes.items():
            if content is not None:
                files[path] = content
            elif path.endswith("/"):
                files = {name: data for name, data in files.items() if not name.startswith(path)}
            else:
                files.pop(path, None)
        seed = f"{self.kind} {self.id} {branch} {len(self.commits)} {message}"
        oid = hashlib.sha1(seed.encode()).hexdigest()
        self.commits.append(Commit(oid, message, files, set(changes)))
        self.branches[branch] = oid
        return self.commits[-1]

    def at(self, revision: str) -> Commit | None:
        oid = self.branches.get(revision, revision)
        return next((commit for commit in self.commits if commit.oid == oid), None)


@dataclasses.dataclass
class Fault:
    """A fault in the first `times` requests whose "METHOD /path" matches `pattern`."""

    pattern: str
    status: int | None = None
    headers: dict = dataclasses.field(default_factory=dict)
    body: str = ""
    delay: float = 0.0  # seconds before the request is answered as usual
    hold: threading.Event | None = None  # the request is answered as usual once this is set
    hang: bool = False  # the connection stays open without an answer until the server is closed
    cut: bool = False  # the connection is closed in the middle of the request's body
    lose_answer: bool = False  # the request takes effect, but its answer is never sent
    wrong_digest: bool = False  # the upload is refused as damaged
    times: float = 1
    after_commits: int = 0  # not before the repositories contain this many pushed commits
    seen: int = 0  # requests that met the fault


class HubServer:
    """The server, as a context manager, on a port of its own; HF_ENDPOINT is its `url`."""

    def __init__(self, port: int = 0):
        self.users = {TOKEN: (USER, "write"), READ_TOKEN: (USER, "read")}
        self.organizations = {"friends": "write", "strangers": "read"}  # the user's role in each
        self.repos: dict[tuple[str, str], Repo] = {}
        # Old names that the Hub redirects: "conll2003" -> "eriktks/conll2003".
        self.redirects: dict[str, str] = {}
        self.large_files: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []  # "METHOD /path" in order of arrival
        self.authorized_uploads: list[str] = []  # PUTs with the token; there should be none
        self.uploads_under_way = self.most_uploads_under_way = 0
        self.validate_card = lambda text: []  # returns problems, as `POST /api/validate-yaml` does
        self.connections: set[socket.socket] = set()
        self.lock = threading.RLock()
        self.closed = threading.Event()
        self.port = port
        self._listen()

    def _listen(self) -> None:
        server = self
        self.closed = threading.Event()

        class Handler(_Handler):
            hub = server

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._http.daemon_threads = True
        self._http.handle_error = lambda *_: None  # tests disconnect clients
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Stop listening and drop open connections; new ones are refused."""
        self.closed.set()
        self._http.shutdown()
        self._http.server_close()
        with self.lock:
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self.connections.clear()

    def reopen(self) -> None:
        """Listen again on the same port, with the same repositories."""
        self._listen()

    def fail(self, pattern: str, **fault) -> Fault:
        """Add a fault for requests whose "METHOD /path" matches the regular expression."""
        self.faults.append(Fault(pattern, **fault))
        return self.faults[-1]

    def environment(self, home) -> dict[str, str]:
        """Return the environment variables that make a subprocess use this server as the Hub."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
        }

    def commits(self, repo_id: str, kind: str = "model") -> list[Commit]:
        """Return the commits pushed to a repository, oldest first, without its initial one."""
        return self.repos[kind, repo_id].commits[1:]

    def create(self, repo_id: str, kind: str = "model", private: bool = False) -> Repo:
        repo = self.repos[kind, repo_id] = Repo(kind, repo_id, private)
        repo.commit("initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})
        return repo

    def add(self, repo_id: str, files: dict[str, bytes], kind="model", branch="main") -> Repo:
        """Add files to a repository, which is created if needed, as a push by a user would."""
        repo = self.repos.get((kind, repo_id)) or self.create(repo_id, kind)
        repo.commit("Upload", files, branch)
        return repo

    def pushed_commits(self) -> int:
        return sum(len(repo.commits) - 1 for repo in self.repos.values() if repo.kind == "model")


def lfs_pointer_oid(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(path: str) -> bool:
    return path.endswith(LFS_SUFFIXES)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet for each answer, sent immediately: a second packet would wait 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True
    hub: HubServer

    def setup(self):
        super().setup()
        with self.hub.lock:
            self.hub.connections.add(self.connection)

    def finish(self):
        with self.hub.lock:
            self.hub.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET

    # --- Faults and dispatch ------------------------------------------------------------------

    def _serve(self) -> None:
        self.path, _, query = self.path.partition("?")
        self.query = urllib.parse.parse_qs(query)
        self.path = urllib.parse.unquote(self.path)
        name = f"{self.command} {self.path}"
        with self.hub.lock:
            self.hub.requests.append(name)
            fault = self._fault_for(name)
        self.fault = fault
        if fault.cut:
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            self._hang_up()
            return
        if fault.hang:
            self.hub.closed.wait()
            self._hang_up()
            return
        with self._counted():
            self._answer()

    @contextlib.contextmanager
    def _counted(self):
        """Record the highest number of simultaneous uploading requests."""
        uploading = self.command in ("POST", "PUT")
        with self.hub.lock:
            self.hub.uploads_under_way += uploading
            self.hub.most_uploads_under_way = max(
                self.hub.most_uploads_under_way, self.hub.uploads_under_way
            )
        try:
            yield
        finally:
            with self.hub.lock:
                self.hub.uploads_under_way -= uploading

    def _answer(self) -> None:
        self.body = self._read_body()
        if self.fault.delay:
            self.hub.closed.wait(self.fault.delay)
        if self.fault.hold:
            self.fault.hold.wait()
        if self.fault.status is not None:
            self._send(self.fault.status, self.fault.body.encode(), self.fault.headers)
            return
        if self._redirected():
            return
        for method, pattern, handle in ROUTES:
            match = re.fullmatch(pattern, self.path)
            if match and self.command in method:
                handle(self, *match.groups())
                return
        self._not_found("EntryNotFound")

    def _redirected(self) -> bool:
        """Redirect a request that uses the old name of a repository; return whether it did."""
        match = re.match(r"(/api/(?:models|datasets)/|/datasets/|/)([^/]+)(?=/|$)", self.path)
        new_name = self.hub.redirects.get(match[2]) if match else None
        if new_name is None:
            return False
        query = urllib.parse.urlencode(self.query, doseq=True)
        path = urllib.parse.quote(f"{match[1]}{new_name}{self.path[match.end() :]}", safe="/")
        self._send(307, headers={"Location": f"{path}?{query}" if query else path})
        return True

    def _fault_for(self, name: str) -> Fault:
        for fault in self.hub.faults:
            if (
                fault.times > 0
                and self.hub.pushed_commits() >= fault.after_commits
                and re.search(fault.pattern, name)
            ):
                fault.times -= 1
                fault.seen += 1
                return fault
        return Fault("")

    def _read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, body: bytes = b"", headers: dict | None = None) -> None:
        if self.fault.lose_answer:
            self._hang_up()
            return
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), "X-Request-Id": "test", **(headers or {})}
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value, status: int = 200, headers: dict | None = None) -> None:
        headers = {"Content-Type": "application/json", **(headers or {})}
        self._send(status, json.dumps(value).encode(), headers)

    def _not_found(self, code: str) -> None:
        self._json({"error": code}, 404, {"X-Error-Code": code, "X-Error-Message": code})

    def _refuse(self, status: int, message: str) -> None:
        self._json({"error": message}, status, {"X-Error-Message": message})

    # --- Permissions --------------------------------------------------------------------------

    def _user(self) -> tuple[str | None, str | None]:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return self.hub.users.get(token, (None, None))

    def _may_write(self, repo_id: str) -> bool:
        user, role = self._user()
        namespace = repo_id.split("/")[0]
        owns = namespace == user or self.hub.organizations.get(namespace) == "write"
        return role == "write" and owns

    def _writable(self, kind: str, repo_id: str) -> Repo | None:
        """Return the repository, or None after sending a refusal."""
        repo = self._visible(kind, repo_id)
        if repo is not None and not self._may_write(repo_id):
            self._refuse(403, "You don't have the rights to write here")
            return None
        return repo

    def _visible(self, kind: str, repo_id: str) -> Repo | None:
        repo = self.hub.repos.get((kind, repo_id))
        if repo is None or (repo.private and self._user()[0] is None):
            self._not_found("RepoNotFound")
            return None
        return repo

    def _commit_at(self, kind: str, repo_id: str, revision: str) -> tuple[Repo, Commit] | None:
        repo = self._visible(kind, repo_id)
        if repo is None:
            return None
        commit = repo.at(revision)
        if commit is None:
            self._not_found("RevisionNotFound")
            return None
        return repo, commit

    # --- Endpoints ----------------------------------------------------------------------------

    def root(self):
        self._send(200)

    def whoami(self):
        user, role = self._user()
        if user is None:
            self._refuse(401, "Invalid credentials in Authorization header")
            return
        orgs = [{"name": name, "roleInOrg": role} for name, role in self.hub.organizations.items()]
        token = {"accessToken": {"displayName": "test", "role": role}}
        self._json({"type": "user", "name": user, "fullname": user, "orgs": orgs, "auth": token})

    def create_repo(self):
        request = json.loads(self.body)
        user, _ = self._user()
        if user is None:
            self._refuse(401, "Invalid username or password.")
            return
        repo_id = f"{request.get('organization') or user}/{request['name']}"
        kind = request.get("type") or "model"
        url = {"url": f"{self.hub.url}/{repo_id}", "name": repo_id, "id": repo_id}
        if not self._may_write(repo_id):
            self._refuse(403, "You don't have the rights to create a model under this namespace")
            return
        with self.hub.lock:
            if (kind, repo_id) in self.hub.repos:
                self._json({"error": "You already created this repo", **url}, 409)
                return
            self.hub.create(repo_id, kind, request.get("visibility") == "private")
        self._json(url)

    def auth_check(self, kind, repo_id, write):
        repo = self._writable(kind, repo_id) if write else self._visible(kind, repo_id)
        if repo is not None:
            self._json({})

    def validate_yaml(self):
        problems = self.hub.validate_card(json.loads(self.body)["content"])
        errors = [{"message": problem} for problem in problems]
        self._json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def preupload(self, kind, repo_id, revision):
        repo = self._writable(kind, repo_id)
        if repo is None:
            return
        present = repo.at(revision).files
        answers = []
        for file in json.loads(self.body)["files"]:
            path, large = file["path"], is_large(file["path"])
            oid = None
            if path in present:
                oid = lfs_pointer_oid(present[path]) if large else git_oid(present[path])
            mode = "lfs" if large else "regular"
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json({"files": answers})

    def lfs_batch(self, kind, repo_id):
        if self._writable("dataset" if kind else "model", repo_id) is None:
            return
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.large_files:
                address = f"{self.hub.url}/lfs/{wanted['oid']}/{wanted['size']}"
                answer["actions"] = {
                    "upload": {"href": f"{address}?signature=secret", "header": {}},
                    "verify": {"href": f"{self.hub.url}/lfs-verify", "header": {}},
                }
            objects.append(answer)
        self._json({"transfer": "basic", "objects": objects})

    def lfs_put(self, oid, size):
        if self.headers.get("Authorization"):
            self.hub.authorized_uploads.append(self.path)
        damaged = self.fault.wrong_digest or lfs_pointer_oid(self.body) != oid
        if damaged or len(self.body) != int(size):
            self._refuse(400, "The content does not have the digest that was announced")
            return
        self.hub.large_files[oid] = self.body
        self._send(200, headers={"ETag": f'"{oid}"'})

    def lfs_verify(self):
        wanted = json.loads(self.body)
        content = self.hub.large_files.get(wanted["oid"])
        if content is None or len(content) != wanted["size"]:
            self._not_found("EntryNotFound")
        else:
            self._json({})

    def commit(self, kind, repo_id, revision):
        repo = self._writable(kind, repo_id)
        if repo is None:
            return
        summary, changes = "", {}
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            match item["key"]:
                case "header":
                    summary = value["summary"]
                case "file":
                    changes[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    content = self.hub.large_files.get(value["oid"])
                    if content is None or len(content) != value["size"]:
                        self._refuse(400, f"{value['path']}: the large file was never uploaded")
                        return
                    changes[value["path"]] = content
                case "deletedFile":
                    changes[value["path"]] = None
                case "deletedFolder":
                    changes[value["path"].rstrip("/") + "/"] = None
        with self.hub.lock:
            commit = repo.commit(summary, changes, revision)
        url = f"{self.hub.url}/{repo_id}/commit/{commit.oid}"
        self._json({"success": True, "commitOid": commit.oid, "commitUrl": url, "hookOutput": ""})

    def info(self, kind, repo_id, revision):
        repo_and_commit = self._commit_at(kind, repo_id, revision or "main")
        if repo_and_commit is None:
            return
        repo, commit = repo_and_commit
        self._json(
            {
                "_id": "0" * 24,
                "id": repo_id,
                "modelId": repo_id,
                "sha": commit.oid,
                "private": repo.private,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "lastModified": "2024-01-01T00:00:00.000Z",
                "createdAt": "2024-01-01T00:00:00.000Z",
                "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            }
        )

    def refs(self, kind, repo_id):
        repo = self._visible(kind, repo_id)
        if repo is not None:
            branches = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": oid}
                for name, oid in repo.branches.items()
                if not name.startswith("refs/")
            ]
            self._json({"branches": branches, "tags": [], "converts": []})

    def _entry(self, path: str, content: bytes) -> dict:
        entry = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
        if is_large(path):
            oid = lfs_pointer_oid(content)
            entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
        return entry

    def _listing(self, commit: Commit, folder: str, recursive: bool) -> list[dict]:
        entries, folders = [], set()
        prefix = f"{folder}/" if folder else ""
        for path, content in sorted(commit.files.items()):
            if not path.startswith(prefix):
                continue
            parts = path.removeprefix(prefix).split("/")
            depth = len(parts) if recursive else min(2, len(parts))
            folders |= {prefix + "/".join(parts[:end]) for end in range(1, depth)}
            if recursive or len(parts) == 1:
                entries.append(self._entry(path, content))
        oid = "1" * 40
        return entries + [
            {"type": "directory", "path": path, "size": 0, "oid": oid} for path in sorted(folders)
        ]

    def tree(self, kind, repo_id, revision, folder):
        repo_and_commit = self._commit_at(kind, repo_id, revision)
        if repo_and_commit is None:
            return
        recursive = self.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        entries = self._listing(repo_and_commit[1], (folder or "").strip("/"), recursive)
        if not entries and folder:
            self._not_found("EntryNotFound")
            return
        self._json(entries)

    def paths_info(self, kind, repo_id, revision):
        repo_and_commit = self._commit_at(kind, repo_id, revision)
        if repo_and_commit is None:
            return
        if "json" in self.headers.get("Content-Type", ""):
            paths = json.loads(self.body)["paths"]
        else:
            paths = urllib.parse.parse_qs(self.body.decode())["paths"]
        entries = {entry["path"]: entry for entry in self._listing(repo_and_commit[1], "", True)}
        self._json([entries[path] for path in paths if path in entries])

    def resolve(self, kind, repo_id, revision, path):
        repo_and_commit = self._commit_at("dataset" if kind else "model", repo_id, revision)
        if repo_and_commit is None:
            return
        _, commit = repo_and_commit
        headers = {"X-Repo-Commit": commit.oid}
        if path not in commit.files:
            error = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            self._json({"error": "Entry not found"}, 404, headers | error)
            return
        content = commit.files[path]
        headers |= {"ETag": f'"{git_oid(content)}"', "Accept-Ranges": "bytes"}
        if is_large(path):
            oid = lfs_pointer_oid(content)
            headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if span is None:
            self._send(200, content, headers)
            return
        first, last = int(span[1]), min(int(span[2] or len(content)), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        self._send(206, content[first : last + 1], headers)


ID = r"([^/]+(?:/[^/]+)?)"  # canonical repositories such as bert-base-cased have no namespace
REVISION = r"(refs/convert/[^/]+|refs/pr/\d+|[^/]+)"
API = rf"/api/(model|dataset)s/{ID}"
ROUTES = [
    (("GET", "HEAD"), r"/", _Handler.root),
    (("GET",), r"/api/whoami-v2", _Handler.whoami),
    (("POST",), r"/api/repos/create", _Handler.create_repo),
    (("POST",), r"/api/validate-yaml", _Handler.validate_yaml),
    (("GET",), rf"{API}/auth-check(/write)?", _Handler.auth_check),
    (("POST",), rf"{API}/preupload/{REVISION}", _Handler.preupload),
    (("POST",), rf"{API}/commit/{REVISION}", _Handler.commit),
    (("POST",), rf"{API}/paths-info/{REVISION}", _Handler.paths_info),
    (("GET",), rf"{API}/refs", _Handler.refs),
    (("GET",), rf"{API}/tree/{REVISION}(/.*)?", _Handler.tree),
    (("GET",), rf"{API}(?:/revision/{REVISION})?", _Handler.info),
    (("POST",), rf"/(datasets/)?{ID}\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    (("PUT",), r"/lfs/([0-9a-f]{64})/(\d+)", _Handler.lfs_put),
    (("POST",), r"/lfs-verify", _Handler.lfs_verify),
    (("GET", "HEAD"), rf"/(datasets/)?{ID}/resolve/{REVISION}/(.+)", _Handler.resolve),
]
