"""What machines have against what trials ask for."""

from small_world import message

from models.family import Resources
from search.cluster.capacity import Capacity, Node

SMALL, GPU = Node("10.0.0.2", 4, 0, 8000), Node("10.0.0.3", 8, 1, 30000)


def test_a_request_that_no_node_meets_is_refused():
    capacity = Capacity((SMALL, GPU))
    capacity.refuse_unmet({"lstm": Resources(8, 1, 28750), "svm": Resources(1, 0, 800)})
    assert message(capacity.refuse_unmet, {"vgg16": Resources(16, 1, 12000)}) == (
        "Entry 'vgg16': each trial asks for 16 CPUs, 1 GPUs and 13250 MB, which none of 2 nodes has (the nearest is "
        "10.0.0.3 with 8 CPUs, 1 GPUs and 30000 MB); lower `resources` of the entry in the recipe, or add a node that "
        "has it."
    )
    assert "which none of 1 nodes has" in message(Capacity((SMALL,)).refuse_unmet, {"a": Resources(1, 0, 9000)})


def test_one_node_must_have_it_all():
    assert not Capacity((Node("a", 8, 0, 9000), Node("b", 1, 1, 9000))).fits(Resources(2, 1, 1000))


def test_a_growing_cluster_refuses_nothing_and_keeps_the_wish_for_a_gpu():
    growing = Capacity((SMALL,), grows=True)
    growing.refuse_unmet({"vgg16": Resources(16, 1, 12000)})
    assert growing.trimmed(Resources(1, 0.25, 1000)).gpu == 0.25
    assert Capacity((SMALL,)).trimmed(Resources(1, 0.25, 1000)).gpu == 0


def test_alone_a_large_trial_gets_all_there_is():
    own = Capacity((SMALL,), own=True)
    own.refuse_unmet({"vgg16": Resources(16, 1, 12000)})
    assert own.trimmed(Resources(16, 1, 12000)) == Resources(4, 0, 8000)


def test_a_trial_with_a_part_of_a_gpu_asks_for_cudas_memory_too():
    small, gpu = Resources(1, 0, 1000), Resources(1, 0.25, 1000)
    assert (small.main_mb, gpu.main_mb) == (1000, 2250)
    node = Node("a", 8, 1, 7000)
    assert (node.slots(small), node.slots(gpu)) == (7, 3) and not Node("b", 8, 1, 2249).fits(gpu)
    assert "each trial asks for 1 CPUs, 0.25 GPUs and 2250 MB" in Capacity((Node("b", 8, 1, 2249),)).unmet(gpu)
    own = Capacity((Node("a", 8, 1, 4000),), own=True)
    assert own.trimmed(Resources(1, 1, 12000)).main_mb == 4000 and own.at_once(Resources(1, 1, 12000)) == 1
    without = Capacity((Node("a", 8, 0, 7000),))
    assert without.at_once(gpu) == 7, "no GPU, no CUDA"


def test_requests_are_made_even_so_that_processes_are_handed_on():
    asked = (Resources(1, 0, 800), Resources(1, 0, 1000), Resources(1, 0, 6000), Resources(2, 0, 1500))
    capacity = Capacity((SMALL,), asked=asked)
    assert [capacity.padded(request).memory_mb for request in asked] == [1000, 1000, 6000, 1500]
    assert capacity.at_once(Resources(1, 0, 1000)) == 4
    gpus = Capacity((GPU,), asked=(Resources(1, 0.25, 1000), Resources(1, 0.25, 2000), Resources(1, 0.5, 3000)))
    assert [gpus.padded(request).memory_mb for request in gpus.asked] == [2000, 2000, 3000]
