"""Reading the text of compiled programs: small ones, written by hand."""

import pytest

from vitjax.targets import hlo

# A loop that adds 1 to a row picked from an argument; before it the argument is copied.
LOOP = """\
HloModule jit_f, is_scheduled=true

%fused_computation (param_0: f32[8,128]) -> f32[8,128] {
  %param_0 = f32[8,128]{1,0:T(8,128)} parameter(0)
  ROOT %add.1 = f32[8,128]{1,0:T(8,128)} add(%param_0, %param_0)
}

%body (arg: (s32[], f32[8,128], f32[1000,128])) -> (s32[], f32[8,128], f32[1000,128]) {
  %arg = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}, f32[1000,128]{1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%arg), index=0
  %x = f32[8,128]{1,0:T(8,128)} get-tuple-element(%arg), index=1
  %data = f32[1000,128]{1,0:T(8,128)} get-tuple-element(%arg), index=2
  %gather_fusion = f32[8,128]{1,0:T(8,128)S(1)} fusion(%data, %i), kind=kCustom, calls=%other
  %fusion.2 = f32[8,128]{1,0:T(8,128)} fusion(%gather_fusion), kind=kLoop, calls=%fused_computation
  ROOT %out = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}, f32[1000,128]{1,0:T(8,128)}) tuple(%i, %fusion.2, %data)
}

%condition (arg.2: (s32[], f32[8,128], f32[1000,128])) -> pred[] {
  %arg.2 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}, f32[1000,128]{1,0:T(8,128)}) parameter(0)
  ROOT %less = pred[]{:T(512)} constant(true)
}

ENTRY %main (p0: f32[8,128], p1: f32[1000,128]) -> f32[8,128] {
  %p0 = f32[8,128]{1,0:T(8,128)} parameter(0)
  %p1 = f32[1000,128]{0,1:T(8,128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  %copy.1 = f32[1000,128]{1,0:T(8,128)} copy(%p1)
  %tuple.1 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}, f32[1000,128]{1,0:T(8,128)}) tuple(%zero, %p0, %copy.1)
  %while.1 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}, f32[1000,128]{1,0:T(8,128)}) while(%tuple.1), condition=%condition, body=%body
  ROOT %result = f32[8,128]{1,0:T(8,128)} get-tuple-element(%while.1), index=1
}
"""  # noqa: E501
ROW, DATA = 8 * 128 * 4, 1000 * 128 * 4  # bytes


def one(line):
    """The only operation of a program of one line."""
    (operation,) = hlo.read(f"ENTRY %main () -> f32[] {{\n  ROOT {line}\n}}\n").operations()
    return operation


def test_a_loops_body_counts_once_and_a_fusions_inside_not():
    names = [operation.name for operation in hlo.read(LOOP).operations()]
    assert names == ["copy.1", "gather_fusion", "fusion.2"]


def test_a_pass_of_the_loop_is_without_what_comes_before():
    names = [operation.name for operation in hlo.read(LOOP).loop().operations()]
    assert names == ["gather_fusion", "fusion.2"]
    straight = hlo.read("ENTRY %main () -> f32[] {\n  ROOT %a = f32[] add(%b, %c)\n}\n")
    assert straight.loop() == straight


def test_memory_counts_what_is_picked_and_not_vmem():
    """The gather reads 8 rows of 1000 and writes VMEM; the fusion writes what the gather left.

    Before the loop the data are read, padded to 1024 rows as they lie there, and written.
    """
    program = hlo.read(LOOP)
    index = 4
    assert program.loop().memory_bytes() == ROW + index + ROW
    assert program.memory_bytes() == 128 * 1024 * 4 + DATA + program.loop().memory_bytes()


def test_a_move_between_memory_and_vmem_is_of_what_it_moves():
    operation = (
        "%copy-start = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]{:S(2)}) "
        "copy-start(%p0)"
    )
    program = hlo.read(
        "ENTRY %main () -> f32[8,128] {\n"
        "  %p0 = f32[8,128]{1,0:T(8,128)} parameter(0)\n"
        f"  {operation}\n"
        "  ROOT %copy-done = f32[8,128]{1,0:T(8,128)S(1)} copy-done(%copy-start)\n}\n"
    )
    assert [each.name for each in program.operations()] == ["copy-start"]
    assert program.memory_bytes() == ROW


@pytest.mark.parametrize(
    ("shape", "num_bytes", "padded_bytes"),
    [
        ("f32[3,5]{1,0:T(8,128)}", 60, 8 * 128 * 4),
        ("f32[3,5]{0,1:T(8,128)}", 60, 8 * 128 * 4),
        ("bf16[64,17,64]{2,1,0:T(16,128)(2,1)}", 64 * 17 * 64 * 2, 64 * 32 * 128 * 2),
        ("bf16[64,17,64]{0,2,1:T(8,128)(2,1)}", 64 * 17 * 64 * 2, 17 * 64 * 128 * 2),
        ("u8[128,28,28,1]{0,2,3,1:T(8,128)(4,1)}", 128 * 784, 128 * 32 * 28),
        ("f32[]{:T(128)}", 4, 4),
        ("pred[7]{0}", 7, 7),
        ("f32[3,5]{1,0}", 60, 60),
    ],
)
def test_padding(shape, num_bytes, padded_bytes):
    (array,) = one(f"%a = {shape} negate(%p)").results
    assert (array.num_bytes, array.padded_bytes) == (num_bytes, padded_bytes)
    assert not array.on_chip


def test_results_of_several_arrays_and_of_vmem():
    arrays = one("%a = (f32[4]{0:T(128)S(1)}, s32[2,3]{1,0}) fusion(%p, %q), calls=%f").results
    assert [array.shape for array in arrays] == [(4,), (2, 3)]
    assert [array.on_chip for array in arrays] == [True, False]


@pytest.mark.parametrize(("read_again", "expected"), [("", 2 * ROW), ("%p.0", DATA + ROW)])
def test_a_fusion_that_picks_rows_reads_these_alone(read_again, expected):
    """Unless it reads all of them as well."""
    program = hlo.read(
        "%fused (p.0: f32[1000,128], p.1: s32[8]) -> f32[8,128] {\n"
        "  %p.0 = f32[1000,128]{1,0} parameter(0)\n"
        "  %p.1 = s32[8]{0} parameter(1)\n"
        "  %flat = f32[1000,128]{1,0} bitcast(%p.0)\n"
        "  %rows = f32[8,128]{1,0} gather(%flat, %p.1), slice_sizes={1,128}\n"
        f"  ROOT %sum = f32[8,128]{{1,0}} add(%rows, {read_again})\n}}\n"
        "ENTRY %main (data: f32[1000,128], at: s32[8]) -> f32[8,128] {\n"
        "  %data = f32[1000,128]{1,0} parameter(0)\n"
        "  %at = s32[8]{0} parameter(1)\n"
        "  ROOT %f = f32[8,128]{1,0} fusion(%data, %at), kind=kLoop, calls=%fused\n}\n"
    )
    assert program.memory_bytes() == expected + 8 * 4


def test_a_librarys_workspace_is_no_result():
    line = '%a = (bf16[8,4]{1,0}, s8[33554432]{0}) custom-call(%p, %q), custom_call_target="cublas"'
    assert [array.shape for array in one(line).results] == [(8, 4)]


def test_operands_are_known_by_name():
    operation = one("%all-reduce.7 = f32[128]{0:T(128)} all-reduce(%g), to_apply=%sum")
    assert (operation.opcode, operation.operands) == ("all-reduce", ("g",))


def test_cycles_are_what_the_compiler_estimates_of_each_operation():
    text = 'backend_config={"window_config":{"estimated_cycles":"1826","iteration_bounds":["1"]}}'
    program = hlo.read(
        "ENTRY %main () -> f32[] {\n"
        f"  %a = f32[] fusion(), kind=kLoop, calls=%inside, {text}\n"
        f"  ROOT %b = f32[] fusion(%a), kind=kLoop, calls=%inside, {text}\n"
        "}\n"
    )
    assert program.cycles() == 2 * 1826
    assert hlo.read(LOOP).cycles() == 0  # as a GPU's
