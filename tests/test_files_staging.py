import logging
import os
import shutil
import subprocess
import sys
import time
from collections import namedtuple

import pytest

from mocksed.errors import UserError
from mocksed.files import staging


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "results" / "0000.npy"
    path.parent.mkdir()
    path.write_bytes(b"content" * 1000)
    return path


@pytest.fixture
def scratch(tmp_path):
    return tmp_path / "scratch"


def copies(scratch):
    return sorted(scratch.glob("mocksed-*/*.npy"))


def test_in_place_where_no_scratch_is_named(path):
    assert staging.local(path, None) == path


def test_a_copy_is_made_once(path, scratch, monkeypatch):
    copy = staging.local(path, str(scratch))
    assert scratch in copy.parents
    assert copy.suffix == ".npy"
    assert copy.read_bytes() == path.read_bytes()
    os.utime(copy, (0, 0))
    monkeypatch.setattr(shutil, "copyfile", None)
    assert staging.local(path, str(scratch)) == copy
    assert time.time() - copy.stat().st_mtime < 100  # its last use
    assert copies(scratch) == [copy]


def test_a_new_version_replaces_the_copy(path, scratch):
    old = staging.local(path, str(scratch))
    path.write_bytes(b"context" * 1000)
    os.utime(path, ns=(0, 1))
    new = staging.local(path, str(scratch))
    assert new.read_bytes() == path.read_bytes()
    assert not old.exists()


def test_what_nobody_uses_is_removed_and_what_is_used_is_kept(path, scratch):
    others = [path.with_name(name) for name in ("0001.npy", "0002.npy")]
    for other in others:
        other.write_bytes(b"other")
    unused, used = (staging.local(other, str(scratch)) for other in others)
    os.utime(unused, (0, 0))
    copy = staging.local(path, str(scratch))
    assert copies(scratch) == sorted([used, copy])


def test_variables_are_expanded(path, scratch, monkeypatch):
    monkeypatch.setenv("NODE_DISK", str(scratch))
    assert scratch in staging.local(path, "${NODE_DISK}/x").parents
    monkeypatch.delenv("NODE_DISK")
    with pytest.raises(UserError, match=r"neighbours\.scratch: \$NODE_DISK/x cannot be used, \$NODE_DISK is not set"):
        staging.local(path, "$NODE_DISK/x")


def test_a_full_disk_is_said_and_the_file_read_in_place(path, scratch, monkeypatch, caplog):
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 10**9, 100))
        assert staging.local(path, str(scratch)) == path
    assert "is read in place" in caplog.text
    caplog.clear()

    def fill(source, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(shutil, "copyfile", fill)
        assert staging.local(path, str(scratch)) == path
    assert "No space left on device" in caplog.text
    assert copies(scratch) == []


def test_a_copy_that_was_changed_is_made_anew(path, scratch, caplog):
    copy = staging.local(path, str(scratch))
    about = copy.stat()
    copy.write_bytes(copy.read_bytes()[:-1] + b"!")
    os.utime(copy, ns=(about.st_atime_ns, about.st_mtime_ns))
    with caplog.at_level(logging.WARNING):
        assert staging.local(path, str(scratch)).read_bytes() == path.read_bytes()
    assert f"{copy} is damaged and is copied again" in caplog.text
    assert copies(scratch) == [copy]


def test_a_copy_that_is_not_the_file_is_not_used(path, scratch, monkeypatch, caplog):
    monkeypatch.setattr(shutil, "copyfile", lambda source, target: target.write_bytes(b"another" * 1000))
    with caplog.at_level(logging.WARNING):
        assert staging.local(path, str(scratch)) == path
    assert "another checksum than the file" in caplog.text
    assert copies(scratch) == []


def test_nobody_else_can_write_the_copies(path, scratch, tmp_path):
    folder = staging.local(path, str(scratch)).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o770)
    with pytest.raises(UserError, match=r"neighbours\.scratch: .*mode 0700\. Remove it"):
        staging.local(path, str(scratch))

    shutil.rmtree(folder)
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    folder.symlink_to(victim)
    with pytest.raises(UserError, match=r"is a link.*mode 0700"):
        staging.local(path, str(scratch))
    assert list(victim.iterdir()) == []

    folder.unlink()
    scratch.chmod(0o777)
    with pytest.raises(UserError, match=r"all users can rename what is in .*scratch\. Set its sticky bit"):
        staging.local(path, str(scratch))
    scratch.chmod(0o1777)
    assert staging.local(path, str(scratch)).parent == folder


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_refused(path, scratch):
    folder = staging.local(path, str(scratch)).parent
    os.chown(folder, 12345, 12345)
    with pytest.raises(UserError, match="belongs to another user"):
        staging.local(path, str(scratch))


def test_a_lock_that_is_a_link_empties_no_file(path, scratch, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    copy = staging.local(path, str(scratch))
    (lock,) = copy.parent.glob("*.lock")
    lock.unlink()
    lock.symlink_to(victim)
    with pytest.raises(UserError, match=r"neighbours\.scratch: cannot use"):
        staging.local(path, str(scratch))
    assert victim.read_text() == "mine"


def test_what_cannot_be_used_is_named(path, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"neighbours\.scratch: cannot make .*file/mocksed-"):
        staging.local(path, str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot read .*no\.npy"):
        staging.local(tmp_path / "no.npy", str(tmp_path / "scratch"))


@pytest.mark.slow
def test_processes_of_a_node_make_one_copy(path, scratch):
    """All start before the copy is there, which takes a while."""
    script = (
        "import shutil, sys, time; from mocksed.files import staging; copyfile = shutil.copyfile\n"
        "def slow(source, target): print('copied'); time.sleep(1.0); copyfile(source, target)\n"
        "shutil.copyfile = slow; print(staging.local(*sys.argv[1:]).read_bytes() == open(sys.argv[1], 'rb').read())"
    )
    command = [sys.executable, "-c", script, str(path), str(scratch)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=600)[0].split() for process in processes]
    assert sorted(said) == [["True"], ["True"], ["copied", "True"]]
    assert len(copies(scratch)) == 1


@pytest.mark.slow
def test_a_killed_copy_does_not_hold_up_the_next(path, scratch):
    script = (
        "import shutil, sys, time; from mocksed.files import staging\n"
        "def slow(source, target): target.write_bytes(b'half'); print('begun', flush=True); time.sleep(100)\n"
        "shutil.copyfile = slow; staging.local(*sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path), str(scratch)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    process.kill()
    process.wait()
    copy = staging.local(path, str(scratch))
    assert copy.read_bytes() == path.read_bytes()
    assert [file for file in copy.parent.iterdir() if file.suffix == ".npy"] == [copy]
