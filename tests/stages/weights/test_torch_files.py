"""Files of torch.save are read to the tensor, and nothing in them is run."""

import contextlib
import importlib
import io
import os
import pickle
import subprocess
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from schemas.errors import ConfigError, SchemaMismatch
from stages.weights.torch_files import read_tensors


def network():
    torch.manual_seed(0)
    inner = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 3, 3), norm=nn.BatchNorm2d(3)))
    return nn.Sequential(inner, nn.Upsample(scale_factor=2), nn.Identity(), nn.Linear(3, 2).half())


@pytest.fixture(params=["zip", "before 1.6"])
def save(request, tmp_path):
    """torch.save in either of its forms; returns the path."""

    def saved(content):
        path = tmp_path / "saved.pkl"
        torch.save(content, path, _use_new_zipfile_serialization=request.param == "zip")
        return str(path)

    return saved


def same(found, wanted):
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_a_whole_module_gives_the_tensors_of_its_state_dict(save):
    same(read_tensors(save(network())), network().state_dict())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_gives_its_tensors_and_its_code_is_left_alone(tmp_path):
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()))
    path = tmp_path / "scripted.pt"
    torch.jit.script(module).save(path)
    found = read_tensors(str(path))
    assert found.keys() == module.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in module.state_dict().items())


def test_a_state_dict_gives_its_tensors(save):
    same(read_tensors(save(network().state_dict())), network().state_dict())


def test_a_tensor_may_be_any_view_of_its_storage(save):
    rows = torch.arange(12.0).view(3, 4)
    views = {"turned": rows.T, "last": rows[1:, 2:], "all": rows[None], "odd": rows[:, 1::2]}
    same(read_tensors(save({"turned": rows.T})), {"turned": rows.T})
    same(read_tensors(save({"last": rows[1:, 2:]})), {"last": views["last"]})
    same(
        read_tensors(save({"all": rows[None], "odd": views["odd"]})),
        {"all": rows[None], "odd": views["odd"]},
    )


def test_safetensors_give_their_tensors(tmp_path):
    wanted = dict(sorted(network().state_dict().items()))
    safetensors.torch.save_file(wanted, tmp_path / "saved.safetensors")
    found = read_tensors(str(tmp_path / "saved.safetensors"))
    same(dict(sorted(found.items())), wanted)


@pytest.mark.filterwarnings("ignore:Couldn.t retrieve source code")
def test_classes_that_are_gone_are_not_missed(save, monkeypatch):
    gone = types.ModuleType("gone")
    gone.Odd = type("Odd", (nn.Linear,), {"__module__": "gone"})
    monkeypatch.setitem(sys.modules, "gone", gone)
    path, wanted = save(odd := gone.Odd(2, 3)), odd.state_dict()
    monkeypatch.delitem(sys.modules, "gone")
    same(read_tensors(path), wanted)


def test_no_class_of_the_file_is_imported(save, tmp_path, monkeypatch):
    """Its module would do work at import."""
    (tmp_path / "eager.py").write_text(
        "import pathlib, torch\npathlib.Path(__file__).with_suffix('.seen').touch()\n"
        "class Eager(torch.nn.Linear): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("eager", None)
    path, seen = save(importlib.import_module("eager").Eager(2, 2)), tmp_path / "eager.seen"
    del sys.modules["eager"]
    seen.unlink()
    assert set(read_tensors(path)) == {"weight", "bias"}
    assert not seen.exists()
    torch.load(path, weights_only=False)
    assert seen.exists()  # so that this test can fail


class Call:
    """Pickled as a call of anything with anything."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) + ((state,) if state is not None else ())

    def __reduce__(self):
        return self.call


class Numbers:
    """Pickled as a storage of float32 numbers."""

    def __init__(self, count, key="0", kind=torch.FloatStorage):
        self.mark = ("storage", kind, key, "cpu", count)


class Pickler(pickle.Pickler):
    def persistent_id(self, thing):
        return thing.mark if isinstance(thing, Numbers) else None


def tensor(size=(2, 3), stride=(3, 1), offset=0, numbers=None):
    rebuild = torch._utils._rebuild_tensor_v2
    return Call(rebuild, numbers or Numbers(6), offset, size, stride, False, OrderedDict())


def pickled(top, protocol=2):
    data = io.BytesIO()
    Pickler(data, protocol).dump(top)
    return data.getvalue()


def zipped(path, told, numbers=bytes(24), compression=zipfile.ZIP_STORED):
    """A file as torch.save writes it, around a pickle and one storage of our own."""
    with zipfile.ZipFile(path, "w", compression) as members:
        members.writestr("saved/data.pkl", told)
        members.writestr("saved/data/0", numbers)
    return str(path)


def test_a_file_made_by_hand_is_read_so_that_those_below_are_refused_for_their_faults(tmp_path):
    path = zipped(
        tmp_path / "saved.pkl", pickled({"a": tensor()}), torch.arange(6.0).numpy().tobytes()
    )
    same(read_tensors(path), {"a": torch.arange(6.0).view(2, 3)})


def evils(mark):
    """Objects that leave a file at `mark` when they are unpickled."""
    command = f"touch {mark}"
    return {
        "system": Call(os.system, command),
        "eval": Call(eval, f"__import__('os').system('{command}')"),
        "process": Call(subprocess.check_output, ["touch", str(mark)]),
        "open": Call(open, str(mark), "w"),
        "state": Call(OrderedDict, state={"x": Call(os.system, command)}),
        "argument": Call(torch._utils._rebuild_parameter, Call(os.system, command), True, {}),
        "numbers": {"a": tensor(numbers=Call(os.system, command))},
        "in a module": Call(nn.ReLU, state={"_parameters": {}, "hook": Call(os.system, command)}),
    }


@pytest.mark.parametrize("name", evils(""))
def test_what_a_file_calls_is_not_called(name, tmp_path):
    mark = tmp_path / "mark"
    told = pickled(evils(mark)[name])
    path = zipped(tmp_path / "evil.pkl", told)
    with pytest.raises(SchemaMismatch, match="wanted a model's tensors"):
        read_tensors(path)
    (tmp_path / "bare.pkl").write_bytes(told)
    with pytest.raises(SchemaMismatch):
        read_tensors(str(tmp_path / "bare.pkl"))
    assert not mark.exists()

    loader = pickle.Unpickler(io.BytesIO(told))
    loader.persistent_load = lambda mark: None
    with contextlib.suppress(TypeError, AttributeError):
        loader.load()
    assert mark.exists()  # so that this test can fail


def nested(depth):
    """A tuple of a tuple of a tuple; its hash would overrun the machine's stack."""
    return b"\x80\x02}" + b")" + b"\x85" * depth + b"K\x01s."


def doubled(depth):
    """A tuple of 2 ** depth places, as a key whose hash takes as long."""
    return b"\x80\x02})" + b"q\x00h\x00\x86" * depth + b"K\x01s."


def endless():
    """A module that holds itself twice."""
    module = Call(nn.ReLU, state=(state := {"_modules": {}}))
    state["_modules"] |= {"a": module, "b": module}
    return pickled(module)


def doubled_modules(depth):
    """A module of 2 ** depth modules."""
    module = Call(nn.ReLU, state={"_parameters": {"a": tensor()}})
    for _ in range(depth):
        module = Call(nn.ReLU, state={"_modules": {"a": module, "b": module}})
    return pickled(module)


REFUSED = {
    "negative": pickled({"a": tensor(size=(-2, -3))}),
    "real": pickled({"a": tensor(size=(2.0, 3.0))}),
    "huge": pickled({"a": tensor(size=(10**12,), stride=(1,), numbers=Numbers(10**12))}),
    "more than the file": pickled({"a": tensor(numbers=Numbers(7))}),
    "no such numbers": pickled({"a": tensor(numbers=Numbers(6, key="1"))}),
    "elsewhere": pickled({"a": tensor(numbers=Numbers(6, key="../../etc/passwd"))}),
    "kind": pickled({"a": tensor(numbers=Numbers(6, kind=OrderedDict))}),
    "list": pickled([tensor()]),
    "checkpoint": pickled({"model": {"a": tensor()}, "step": 3}),
    "text": pickled("model"),
    "protocol": pickled({"a": tensor()}, protocol=4),
    "key": pickled({("a",): tensor()}),
    "no module": pickled(Call(nn.ReLU, state={"_modules": {"a": 3}})),
    "no table": pickled(Call(nn.ReLU, state={"_modules": [3]})),
    "no tensor": pickled(Call(nn.ReLU, state={"_parameters": {"a": "b"}})),
    "long name": pickled(Call(nn.ReLU, state={"_parameters": {"a" * 2_000: tensor()}})),
    "holds itself": endless(),
    "doubled modules": doubled_modules(40),
    "nested": nested(3 * 10**5),
    "doubled": doubled(64),
    "memo": b"\x80\x02}r\xff\xff\xff\x7f.",
    "long": b"\x80\x02X\xff\xff\xff\x7f",
    "empty stack": b"\x80\x02.",
    "no mark": b"\x80\x02u.",
    "nothing": b"",
    "too long a pickle": pickled("a" * 2**22),
}  # fmt: skip


@pytest.mark.parametrize("fault", REFUSED)
def test_a_faulty_file_is_one_sentence(fault, tmp_path):
    path = zipped(tmp_path / "saved.pkl", REFUSED[fault])
    with pytest.raises(SchemaMismatch, match=r"saved.pkl, found .*; fetch the file again"):
        read_tensors(path)


@pytest.mark.parametrize(
    "outside",
    [
        {"offset": 1},
        {"stride": (6, 1)},
        {"stride": (2**62, 1)},
        {"size": (10**9, 10**9), "stride": (0, 0)},
        {"size": (0, 3)},
    ],
)
def test_a_tensor_lies_within_its_storage(outside, tmp_path):
    path = zipped(tmp_path / "saved.pkl", pickled({"a": tensor(**outside)}))
    with pytest.raises(SchemaMismatch, match="a tensor that is empty, or larger than its storage"):
        read_tensors(path)


def test_a_compressed_file_is_refused_before_it_swells(tmp_path):
    told = pickled({"a": tensor(size=(2**24,), stride=(1,), numbers=Numbers(2**24))})
    path = zipped(tmp_path / "bomb.pkl", told, bytes(2**26), zipfile.ZIP_DEFLATED)
    with pytest.raises(SchemaMismatch, match="compressed"):
        read_tensors(path)


def test_a_file_that_claims_to_be_compressed_is_refused_too(tmp_path):
    path = tmp_path / "saved.pt"
    torch.save({"a": torch.ones(3)}, path)
    data, entry = bytearray(path.read_bytes()), b"PK\x01\x02"
    place = data.find(entry)
    while place >= 0:
        data[place + 10 : place + 12] = zipfile.ZIP_DEFLATED.to_bytes(2, "little")
        place = data.find(entry, place + 1)
    path.write_bytes(data)
    with pytest.raises(SchemaMismatch, match="compressed"):
        read_tensors(str(path))


def test_numbers_of_a_kind_that_torch_lacks_are_refused(tmp_path):
    header = b'{"a": {"dtype": "F8_E8M0", "shape": [2], "data_offsets": [0, 2]}}'
    path = tmp_path / "scales.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(SchemaMismatch, match="F8_E8M0"):
        read_tensors(str(path))


def test_a_file_gives_no_more_numbers_than_it_has(tmp_path):
    views = {str(n): tensor((2**16,), (1,), numbers=Numbers(2**16)) for n in range(2)}
    path = zipped(tmp_path / "saved.pkl", pickled({"0": views["0"]}), bytes(2**18))
    assert read_tensors(path)["0"].numel() == 2**16
    with pytest.raises(SchemaMismatch, match="more numbers than a file of its size"):
        read_tensors(zipped(tmp_path / "saved.pkl", pickled(views), bytes(2**18)))


def test_a_file_cut_off_anywhere_is_one_sentence(save, tmp_path):
    path = save(nn.Linear(3, 2))
    whole = Path(path).read_bytes()
    for end in [*range(0, len(whole), 97), len(whole) - 1]:
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(SchemaMismatch):
            read_tensors(str(tmp_path / "cut"))


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"of a model.s weights, found .*No such file"):
        read_tensors(str(tmp_path / "none.pkl"))


@pytest.fixture
def saved(save):
    """Return one file for all examples: in old ones, addresses of memory are written out."""
    return Path(save(nn.Linear(3, 2))).read_bytes()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_gives_tensors_or_one_sentence(data, saved, tmp_path):
    whole = bytearray(saved)
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged").write_bytes(whole)
    try:
        found = read_tensors(str(tmp_path / "damaged"))
    except SchemaMismatch:
        return
    assert all(isinstance(value, torch.Tensor) for value in found.values())


@settings(max_examples=300)
@given(st.lists(st.sampled_from([
    b"}", b"]", b")", b"(", b"t", b"\x85", b"\x86", b"u", b"s", b"a", b"e", b"N", b"K\x01", b"R",
    b"X\x01\x00\x00\x00a", b"q\x00", b"h\x00", b"b", b"Q", b"cos\nsystem\n", b"\x81", b"0", b"2",
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n",
]), max_size=30))  # fmt: skip
def test_any_row_of_instructions_gives_tensors_or_one_sentence(tmp_path_factory, instructions):
    path = tmp_path_factory.mktemp("rows") / "saved.pkl"
    try:
        read_tensors(zipped(path, b"\x80\x02" + b"".join(instructions) + b"."))
    except SchemaMismatch:
        return
