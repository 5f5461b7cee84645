"""Sources of tiny weights, as reading a file of another library would give them."""

from tests.models import tiny
from vidtx.weights import Architecture, Entry, Report, Source


def of(scheme, grid=tiny.GRID, *, image=False, head=True, **options):
    """A source of `tiny.weights`; with ``image`` one of an image model."""
    tree = tiny.weights(scheme, grid, **options)
    if not head:
        del tree["head"]
    params = {name.replace("/", "."): leaf for name, leaf in tiny.flat(tree).items()}
    position = options.get("position", "space_time")
    architecture = Architecture(
        scheme=None if image else scheme,
        embed_dim=options.get("dim", tiny.DIM),
        depth=options.get("depth", tiny.DEPTH),
        num_heads=tiny.HEADS,
        patch_size=tiny.PATCH,
        image_size=(grid[1] * tiny.PATCH, grid[2] * tiny.PATCH),
        num_frames=None if image else grid[0],
        num_classes=tiny.CLASSES if head else None,
        position_embedding=position if "embedding.time" in params else min(position, "space"),
    )
    read = Report(tuple(Entry("used", name, (f"file/{name}",)) for name in params))
    return Source("the file", "tiny", params, architecture, read)


def image(grid=tiny.GRID, **options):
    """A source of an image ViT."""
    return of("space", (1, *grid[1:]), image=True, **options)
