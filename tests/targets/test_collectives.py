"""What chips send each other, read from programs written by hand."""

import pytest

from vitjax.targets import hlo
from vitjax.targets.collectives import Sent, sent

WHOLE = 1024 * 4  # bytes of f32[1024]


def program(*lines, before=""):
    body = "\n".join(f"  {line}" for line in lines)
    return hlo.read(f"{before}\nENTRY %main () -> f32[] {{\n{body}\n}}\n")


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("all-reduce(%x), replica_groups={}, to_apply=%sum", 2 * WHOLE * 15 / 16),
        ("all-reduce(%x), replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%sum", 2 * WHOLE * 3 / 4),
        ("all-gather(%x), replica_groups=[2,8]<=[16], dimensions={0}", WHOLE * 7 / 8),
        ("reduce-scatter(%x), replica_groups=[4,4]<=[4,4]T(1,0), to_apply=%sum", WHOLE * 3),
        ("all-to-all(%x), replica_groups=mesh['a'=4,'b'=4] {'a'}", WHOLE * 3 / 4),
        ("all-to-all(%x), replica_groups=mesh['a'=4,'b'=4] {'a','b'}", WHOLE * 15 / 16),
        ("all-to-all(%x), replica_groups=mesh['a'=16] {'a':(1)2}", WHOLE / 2),
        (
            "all-gather(%x), replica_groups=mesh['a'=8,'b'=2], device_ids=([8,2]T(1,0)) {'a'}",
            WHOLE * 7 / 8,
        ),
        ("collective-permute(%x), source_target_pairs={{0,1},{1,0}}", WHOLE),
    ],
)
def test_bytes_by_hand(operation, expected):
    found = sent(program(f"ROOT %y = f32[1024]{{0}} {operation}"), num_chips=16)
    assert found == Sent(expected, expected)


@pytest.mark.parametrize(
    "line",
    [
        "%a = (f32[128]{0}, f32[1024]{0}) all-gather-start(%x), replica_groups=[1,8]<=[8]",
        "%a = ((f32[64], f32[64]), (f32[512], f32[512])) all-gather-start(%x, %y), "
        "replica_groups=[1,8]<=[8]",
    ],
)
def test_what_is_started_and_awaited_leaves_a_chip_free(line):
    assert sent(program(line), num_chips=8) == Sent(WHOLE * 7 // 8, 0)


def test_a_permutation_that_is_started_sends_its_result():
    line = "%a = (f32[1024]{0}, f32[1024]{0}, u32[], u32[]) collective-permute-start(%x)"
    assert sent(program(line), num_chips=8) == Sent(WHOLE, 0)


def test_one_that_is_spread_over_fusions_counts_once_and_leaves_a_chip_free():
    gather = "f32[1024]{0} all-gather(%p), channel_id=3, replica_groups=[1,8]<=[8]"
    fused = "\n".join(
        f"%f{i} (p: f32[128]) -> f32[1024] {{\n  %p = f32[128]{{0}} parameter(0)\n"
        f"  ROOT %g{i} = {gather}\n}}\n"
        for i in range(3)
    )
    fusions = [f"%fusion.{i} = f32[1024]{{0}} fusion(%x), calls=%f{i}" for i in range(3)]
    alone = "%sum = f32[1024]{0} all-reduce(%x), channel_id=4, replica_groups=[1,8]<=[8]"
    found = sent(program(*fusions, alone, before=fused), num_chips=8)
    assert found == Sent(WHOLE * 7 // 8 * 3, WHOLE * 7 // 8 * 2)
