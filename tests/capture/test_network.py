from __future__ import annotations

import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest
import torch
from skimage.data import astronaut

from nerface.capture.network import Network, open_network
from nerface.capture.tflite_file import read_graph
from nerface.capture.torch_network import TorchNetwork
from nerface.capture.torch_operators import same_padding
from tests.capture.tflite import Op, chain, model

SEED = np.random.default_rng(0)
# Most that LiteRT and PyTorch may differ by; the landmarks are in pixels of 256.
TOLERANCE, LANDMARK_TOLERANCE_PX = 3e-4, 1e-3
FILES = ("face_detector", "face_landmarks_detector", "face_blendshapes", "selfie_segmentation")


def _litert(content, threads=1):
    """The reference, or a skip where LiteRT is not installed (it has no builds for some machines with a GPU)."""
    pytest.importorskip("ai_edge_litert")
    return Network(content, threads)


def _portrait():
    return np.ascontiguousarray(astronaut()[:320, 60:380])


def _content(weights, name):
    if name == "selfie_segmentation":
        return weights.selfie_segmentation.read_bytes()
    with zipfile.ZipFile(weights.face_landmarker) as bundle:
        return bundle.read(f"{name}.tflite")


def _inputs(name, shape, batch):
    """Random numbers, and where pictures go in, the portrait at several sizes and places."""
    if name == "face_blendshapes":
        return (100 + 60 * SEED.standard_normal((batch, *shape))).astype(np.float32)
    values = SEED.random((batch, *shape), dtype=np.float32)
    for number in range(1, batch):
        part = _portrait()[10 * number : 200 + 10 * number, 60 : 260 - 5 * number]
        values[number] = cv2.resize(part, shape[1::-1], interpolation=cv2.INTER_AREA) / 255.0
    return values * 2 - 1 if name == "face_detector" else values


@pytest.mark.parametrize("name", FILES)
def test_pytorch_agrees_with_litert(weights, device, name):
    content = _content(weights, name)
    reference, network = _litert(content), TorchNetwork(content, device)
    assert network.input_shape == reference.input_shape
    values = _inputs(name, network.input_shape, 4)
    expected, outputs = reference(values), network(values)
    assert [output.shape for output in outputs] == [output.shape for output in expected]
    tolerances = [LANDMARK_TOLERANCE_PX if output.shape[-1] == 3 * 478 else TOLERANCE for output in expected]
    for output, other, tolerance in zip(outputs, expected, tolerances):
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, other, rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("name", FILES)
def test_devices_agree(weights, device, name):
    content = _content(weights, name)
    values = _inputs(name, read_graph(content).tensors[read_graph(content).inputs[0]].shape[1:], 4)
    if device.type == "cpu":
        pytest.skip("the other device is the CPU")
    for output, other in zip(TorchNetwork(content, device)(values), TorchNetwork(content)(values)):
        np.testing.assert_allclose(output, other, rtol=1e-5, atol=LANDMARK_TOLERANCE_PX)


@pytest.mark.parametrize("name", FILES)
def test_a_batch_is_its_rows(weights, name):
    content = _content(weights, name)
    for network in (_litert(content), TorchNetwork(content)):
        values = _inputs(name, network.input_shape, 3)
        together = network(values)
        for row in range(3):
            alone = network(values[row : row + 1])
            for whole, part in zip(together, alone):
                assert part.shape[0] == 1
                np.testing.assert_allclose(whole[row], part[0], rtol=1e-5, atol=LANDMARK_TOLERANCE_PX)


def test_the_portrait_is_a_face_in_pytorch(weights):
    """Not only alike: the networks see what is there."""
    network = TorchNetwork(_content(weights, "face_landmarks_detector"))
    patch = cv2.resize(_portrait()[10:190, 70:250], (256, 256), interpolation=cv2.INTER_CUBIC)
    landmarks, flag = network(patch[None].astype(np.float32) / 255)[:2]
    assert flag.item() > 0
    points = landmarks.reshape(478, 3)
    assert points[33, 0] < points[1, 0] < points[263, 0]  # the subject's right eye, nose, left eye
    assert points[33, 1] < points[1, 1] < points[13, 1]  # eye, nose, lips


def test_tensors_on_the_device_stay_there(device):
    network = TorchNetwork(model(Op(19), (1, 2, 3), (1, 2, 3)), device)
    (output,) = network.run(torch.tensor([[[-1.0, 0, 2], [3, -4, 5]]], device=device))
    assert output.device.type == device.type
    assert output.tolist() == [[[0, 0, 2], [3, 0, 5]]]


def test_the_device_decides(device):
    content = model(Op(19), (1, 2, 3), (1, 2, 3))
    if device.type == "cpu":
        pytest.importorskip("ai_edge_litert")
    assert type(open_network(content, 1, device)) is (Network if device.type == "cpu" else TorchNetwork)


def _floats(*shape):
    return SEED.standard_normal(shape).astype(np.float32)


def _image_op(code, kind, options, weights, rows=9, columns=8, bias=True):
    channels = weights.shape[-1] if code == 4 else weights.shape[0]
    constants = [weights, _floats(channels)] if bias else [weights]
    same, stride = options[0][2] == 0, (options[2][2], options[1][2])
    sizes = [
        -(-size // by) if same else (size - kernel) // by + 1
        for size, by, kernel in zip((rows, columns), stride, weights.shape[1:3])
    ]
    return Op(code, kind, options, constants), (1, rows, columns, weights.shape[-1]), (1, *sizes, channels)


def _conv(padding, stride, activation=0):
    return [(0, "Int8", padding), (1, "Int32", stride[1]), (2, "Int32", stride[0]), (3, "Int8", activation)]


def _depth(padding, stride, activation=0):
    return [
        (0, "Int8", padding),
        (1, "Int32", stride[1]),
        (2, "Int32", stride[0]),
        (3, "Int32", 1),
        (4, "Int8", activation),
    ]


def _pool(padding, stride, kernel):
    sizes = [(1, "Int32", stride), (2, "Int32", stride), (3, "Int32", kernel), (4, "Int32", kernel)]
    return [(0, "Int8", padding), *sizes]


IMAGE = (1, 9, 8, 5)
CASES = {
    "convolution, SAME, stride 2": _image_op(3, 1, _conv(0, (2, 2)), _floats(4, 3, 3, 5)),
    "convolution, SAME, 5x4, strides 2 and 3": _image_op(3, 1, _conv(0, (2, 3)), _floats(4, 5, 4, 5)),
    "convolution, VALID, ReLU6": _image_op(3, 1, _conv(1, (1, 2), 3), _floats(4, 2, 3, 5)),
    "depthwise, SAME, stride 2, ReLU": _image_op(4, 2, _depth(0, (2, 2), 1), _floats(1, 3, 3, 5)),
    "depthwise, VALID": _image_op(4, 2, _depth(1, (1, 1)), _floats(1, 3, 2, 5)),
    "largest, SAME": (Op(17, 5, _pool(0, 2, 3)), IMAGE, (1, 5, 4, 5)),
    "largest, VALID": (Op(17, 5, _pool(1, 2, 2)), IMAGE, (1, 4, 4, 5)),
    "average, VALID": (Op(1, 5, _pool(1, 3, 3)), IMAGE, (1, 3, 2, 5)),
    "resize, half pixels": (
        Op(23, 15, [(3, "Bool", True)], [np.array([17, 12], np.int32)]),
        IMAGE,
        (1, 17, 12, 5),
    ),
    "resize, corners": (Op(23, 15, [(2, "Bool", True)], [np.array([5, 20], np.int32)]), IMAGE, (1, 5, 20, 5)),
    "slope": (Op(54, 0, (), [_floats(1, 1, 5)]), IMAGE, IMAGE),
    "padding": (Op(34, 22, (), [np.array([[0, 0], [1, 0], [0, 2], [3, 1]], np.int32)]), IMAGE, (1, 10, 10, 9)),
    "sum with a row": (Op(0, 11, [(0, "Int8", 1)], [_floats(1, 1, 1, 5)]), IMAGE, IMAGE),
    "product with a number": (Op(18, 21, (), [_floats(1)]), IMAGE, IMAGE),
    "mean of rows": (Op(40, 27, [(0, "Bool", True)], [np.array([1], np.int32)]), IMAGE, (1, 1, 8, 5)),
    "transposed": (Op(39, 0, (), [np.array([0, 3, 1, 2], np.int32)]), IMAGE, (1, 5, 9, 8)),
    "reshaped": (Op(22, 0, (), [np.array([1, 72, 5], np.int32)]), IMAGE, (1, 72, 5)),
    "every second": (
        Op(
            45,
            32,
            [(0, "Int32", 9), (1, "Int32", 13)],
            [np.array(row, np.int32) for row in ([0, 1, 2, 0], [1, 9, 6, 5], [1, 2, 1, 1])],
        ),
        IMAGE,
        (1, 4, 4, 5),
    ),
    "hard swish": (Op(117), IMAGE, IMAGE),
    "logistic": (Op(14), IMAGE, IMAGE),
    "root": (Op(75), (1, 7), (1, 7)),
}


@pytest.mark.parametrize("name", list(CASES))
def test_each_operator_agrees_with_litert(name, device):
    content = model(*CASES[name])
    reference, network = _litert(content), TorchNetwork(content, device)
    values = _floats(3, *network.input_shape)
    values = np.abs(values) if name == "root" else values
    (expected,), (output,) = reference(values), network(values)
    assert output.shape == expected.shape
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


def test_half_precision_weights_are_used_as_they_are():
    weights = _floats(1, 1, 5).astype(np.float16)
    (constant,) = [
        t.content for t in read_graph(model(Op(54, 0, (), [weights]), IMAGE, IMAGE)).tensors if t.content is not None
    ]
    np.testing.assert_array_equal(constant, weights)
    network = TorchNetwork(model(Op(54, 0, (), [weights]), IMAGE, IMAGE))
    values = -np.ones((1, *IMAGE[1:]), np.float32)
    np.testing.assert_array_equal(network(values)[0][0, 0, 0], -weights[0, 0].astype(np.float32))


def test_steps_run_in_order_and_share_results():
    ops = [(Op(0, 11, (), [np.float32([2])]), (1, 3)), (Op(18, 21, (), [np.float32([3])]), (1, 3)), (Op(19), (1, 3))]
    content = chain(ops, (1, 3))
    values = np.array([[-5, 0, 1], [1, 2, 3]], np.float32)
    np.testing.assert_array_equal(TorchNetwork(content)(values)[0], np.maximum((values + 2) * 3, 0))
    np.testing.assert_array_equal(_litert(content)(values)[0], np.maximum((values + 2) * 3, 0))


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (2, 2), (3, 1), (3, 2), (5, 2), (5, 3)])
def test_same_padding_gives_the_size_divided_by_the_stride(size, kernel, stride):
    before, after = same_padding(size, kernel, stride)
    assert (size + before + after - kernel) // stride + 1 == -(-size // stride)
    assert 0 <= after - before <= 1


def test_what_is_no_network_is_refused():
    whole = model(CASES["slope"][0], IMAGE, IMAGE)
    for content in (b"", b"no network", b"\0\0\0\0TFL3", whole[:200]):
        with pytest.raises(ValueError):
            TorchNetwork(content)
    noise = np.random.default_rng(1)
    for _ in range(300):  # damaged anywhere: refused or read, never anything else
        broken = bytearray(whole)
        for place in noise.integers(8, len(whole), 4):
            broken[place] ^= int(noise.integers(1, 256))
        try:
            read_graph(bytes(broken))
        except ValueError:
            continue


def test_operators_not_known_are_named():
    with pytest.raises(ValueError, match="TANH is not supported"):
        TorchNetwork(model(Op(28), (1, 3), (1, 3)))
    with pytest.raises(ValueError, match="half-pixel"):
        TorchNetwork(model(Op(23, 15, (), [np.array([4, 4], np.int32)]), IMAGE, (1, 4, 4, 5)))


def test_another_shape_of_input_is_refused():
    with pytest.raises(ValueError, match="takes"):
        TorchNetwork(model(Op(19), (1, 2, 3), (1, 2, 3)))(np.zeros((1, 3, 2), np.float32))


WITHOUT = """
import sys
sys.modules["ai_edge_litert"] = None
from nerface.capture.landmarker import FaceLandmarker
from nerface.capture.network import Network
from nerface.errors import UserError
try:
    Network(b"", 1)
except UserError as error:
    assert "ai-edge-litert" in str(error)
else:
    raise SystemExit("no error")
from nerface.capture.torch_network import TorchNetwork
"""


def test_litert_is_not_needed_until_it_runs():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
