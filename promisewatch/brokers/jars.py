"""Apache Kafka's jars: by Maven coordinates and pinned version, checked against the committed list of checksums.

They live in `${XDG_CACHE_HOME:-~/.cache}/promisewatch/kafka-<version>`, outside the tree. The folder appears there
complete and checked or not at all, and processes that want it at the same time wait for one to fetch it.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import BrokerUnavailable

KAFKA_VERSION = "4.1.0"
SCALA_VERSION = "2.13"
LOG4J_VERSION = "2.24.3"
"""The binding that Kafka's own distribution ships; without it the broker's errors would be silent."""
DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
MAVEN_TIMEOUT_S = 600
CHECKSUMS = Path(__file__).with_name("kafka-jars.sha256")

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>promisewatch</groupId><artifactId>kafka-jars</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_{SCALA_VERSION}</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


def cache_folder() -> Path:
    """Where this project keeps what it downloads, as the XDG base directory specification has it."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "promisewatch"


def jars_folder() -> Path:
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def cached() -> bool:
    """Whether the jars are here, so that neither Maven nor a network is needed."""
    folder = jars_folder()
    return all((folder / name).is_file() for name in expected_checksums())


def resolve_jars() -> Path:
    """The folder with exactly the listed jars, fetched by Maven if need be.

    Raises BrokerUnavailable if Maven is missing or fails, or what it brought is not what the list says.
    """
    if cached():
        return jars_folder()
    cache_folder().mkdir(parents=True, exist_ok=True)
    with locked(cache_folder() / "kafka.lock"):
        if not cached():
            fetch(jars_folder())
    return jars_folder()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on the file; released by the kernel if we die."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fetch(folder: Path) -> None:
    """Download beside `folder`, check, and put in its place in one step."""
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder.parent) as temporary:
        work = Path(temporary)
        (work / "pom.xml").write_text(POM)
        run_maven(work)
        check(work / "jars")
        if folder.exists():  # incomplete: somebody removed jars from it
            folder.rename(work / "replaced")
        (work / "jars").rename(folder)


def run_maven(work: Path) -> None:
    """Copy the jars of `work/pom.xml` and all they need at run time into `work/jars`."""
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailable("found no `mvn` on the PATH; Apache Kafka's jars are fetched with Maven 3.6 or newer")
    goal = f"{DEPENDENCY_PLUGIN}:copy-dependencies"
    command = [maven, "-q", "-B", goal, "-DincludeScope=runtime", f"-DoutputDirectory={work / 'jars'}"]
    try:
        done = subprocess.run(
            command,
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=MAVEN_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BrokerUnavailable(f"Maven did not fetch Apache Kafka's jars within {MAVEN_TIMEOUT_S} s") from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-2000:]
        raise BrokerUnavailable(f"Maven could not fetch Apache Kafka {KAFKA_VERSION}'s jars; it said:\n{said}")


def check(folder: Path) -> None:
    """Raises BrokerUnavailable unless `folder` holds exactly the listed jars with the listed SHA-256 sums."""
    expected = expected_checksums()
    found = {path.name: sha256(path) for path in sorted(folder.glob("*"))}
    problems = [f"{name}: not downloaded" for name in sorted(expected.keys() - found.keys())]
    problems += [f"{name}: not on the list" for name in sorted(found.keys() - expected.keys())]
    problems += [
        f"{name}: found SHA-256 {found[name]}, expected {expected[name]}"
        for name in sorted(expected.keys() & found.keys())
        if found[name] != expected[name]
    ]
    if problems:
        listed = "\n  ".join(problems)
        raise BrokerUnavailable(f"Apache Kafka's jars differ from {CHECKSUMS.name} and are not used:\n  {listed}")


def expected_checksums() -> dict[str, str]:
    """Jar file name -> SHA-256, in the format of `sha256sum`."""
    lines = CHECKSUMS.read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines if line.strip())}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
