from loadlab.core.reads import READ_COST_BYTES, Reads

READS = [(5, b"one"), (7, b""), (2**62, b"\x00\xff")]


def test_reads_come_back_as_they_were_kept() -> None:
    reads = Reads(READS)
    assert list(reads) == READS
    assert (len(reads), reads.size, reads.last_ns, reads.head(4)) == (3, 5, 2**62, b"one\x00")


def test_reads_survive_the_way_to_another_process() -> None:
    assert Reads.unpacked(*Reads(READS).packed()) == Reads(READS)
    assert list(Reads.unpacked(*Reads().packed())) == []


def test_reads_differ_by_time_and_by_where_they_were_cut() -> None:
    assert Reads([(1, b"ab")]) != Reads([(1, b"a"), (1, b"b")])
    assert Reads([(1, b"ab")]) != Reads([(2, b"ab")])


def test_a_drip_of_single_bytes_counts_what_it_costs() -> None:
    reads = Reads()
    assert [reads.add(at, b"x") for at in range(3)] == [(READ_COST_BYTES + 1) * n for n in (1, 2, 3)]
