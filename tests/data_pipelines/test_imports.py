import ast
import pathlib
import subprocess
import sys
import textwrap

import pytest

import data_pipelines

FOLDER = pathlib.Path(data_pipelines.__file__).parent


@pytest.mark.parametrize("path", sorted(FOLDER.glob("**/*.py")), ids=lambda path: path.name)
def test_no_accelerator_library_and_no_other_room_is_imported(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert not imported & {"jax", "flax", "optax", "vidtx", "tensorflow", "torch"}


def test_a_bare_process_reads_without_tensorflow_or_parsed_flags(dataset):
    program = textwrap.dedent(
        f"""
        import sys
        from data_pipelines import encode, errors, records, sampling, spatial
        from data_pipelines.decoding import decode
        assert not {{"jax", "flax", "tensorflow", "vidtx"}} & set(sys.modules), "at import"
        source = records.open_split("demo", "train", {str(dataset.data_dir)!r})
        decode.decode_all(source[0]["video"])
        assert not {{"jax", "flax", "tensorflow", "vidtx"}} & set(sys.modules), "at reading"
        from data_pipelines import loader
        spec = loader.ClipSpec(4, 2, None, (24, 32), (26, 34), 30)
        batches = loader.train_batches(source, spec, global_batch=4, seed=0)
        next(batches)
        assert not {{"flax", "tensorflow", "vidtx"}} & set(sys.modules), "at loading"
        """
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Exception ignored" not in result.stderr
