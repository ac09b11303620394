"""Formats that are named and refused, each with what to do instead."""

import io
import json
import subprocess
import zipfile

import pytest

from corpus.problems import ProblemKind, Problems
from tests.helpers.corpus_files import read, write_file
from tests.helpers.messages import stable

TEXTS = {
    "uima.xmi": '<?xml version="1.0" encoding="UTF-8"?>\n<xmi:XMI xmlns:xmi="http://x.org">\n',
    "bioc.xml": "<!DOCTYPE collection SYSTEM 'BioC.dtd'>\n<collection/>\n",
    "webanno2.tsv": "# webanno.custom.NamedEntity | value\n#id=1\n#text=Anna\n1-1\tAnna\tB-PER\n",
    "webanno1.tsv": "#id=1\n#text=Anna ran\n1-1\tAnna\tB-PER\n1-2\tran\tO\n",
    "allennlp.txt": "EU###B-ORG rejects###O\nBob###B-PER\n",
    "slashes.txt": "EU/B-ORG and/or/O x/O\nBob/B-PER\n",
    "commas.txt": "EU,B-ORG\nrejects,O\n\nBob,B-PER\n",
    "pipes.txt": "EU|B-ORG\nrejects|O\n",
    "inline.txt": "<PER>Anna Bell</PER> lives in <LOC>Rome</LOC>.\n<PER>Bob</PER> left.\n",
    "args.yaml": "# of a run\n\nlearning_rate: 2e-05\nlabel_names:\n- O\n- B-X\nmin-lr: 1\nseed:\n",
    "dashes.yml": "---\ntrain-file: a.conll\n",
    "opennlp.txt": "<START:person> Anna Bell <END> ran .\n<START> Bob <END> left .\n",
    "cogcomp.txt": "[PER Anna Bell ] lives in [LOC Rome ] .\n[PER Bob ] left .\n",
    "rasa.yml": '- from [Rome]{"entity": "city"}\n- in [Paris]{"entity": "city"}\n',
    "brown.txt": "The/at jury/nn-tl 's/bez-hl ./.\nAnna/NNP 's/POS $/$ 5/CD\n",
    "spacy.py": 'import spacy\n\nDATA = [\n    ("Anna", {"entities": [(0, 4, "PER")]}),\n]\n',
    "spacy.txt": "[('Anna', {'entities': [(0, 4, 'PER')]}), ('Bob', {'entities': []})]\n",
    "ontonotes.name": '<DOC DOCNO="x"><TEXT>\n<ENAMEX TYPE="PERSON">Anna</ENAMEX> ran\n',
    "tei.xml": '<TEI xmlns="http://www.tei-c.org/ns/1.0">\n<text/></TEI>\n',
    "spans.csv": "id,text,start,end,label\n1,Anna saw Rome,0,4,PER\n1,Anna saw Rome,9,13,LOC\n",
    "page.jsonl": "<!doctype html><html><head><title>404</title></head></html>\n",
    "pointer.conll": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "pointer.csv": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
    "rasa.md": "- I live in [Rome](city)\n- from [Paris](city) to [Rome](city)\n",
}
OBJECTS = {
    "tagtog": {"annotatable": {"parts": ["s1p1"]}, "entities": [], "relations": []},
    "uima": {"%TYPES": {}, "%FEATURE_STRUCTURES": [], "%VIEWS": {}},
    "azure": {"projectFileVersion": "2022-05-01", "assets": {"documents": []}},
    "sagemaker": {"source": "Anna ran", "job": {"annotations": {}}, "job-metadata": {}},
    "rasa": {"rasa_nlu_data": {"common_examples": [{"text": "Anna ran", "entities": []}]}},
    "pubtator 3": {"PubTator3": [{"id": "1", "passages": [{"offset": 0, "text": "Anna"}]}]},
    "labelbox": {"data_row": {"row_data": "Anna ran"}, "projects": {}},
    "older labelbox": {"ID": "x", "Labeled Data": "Anna ran", "Label": {"objects": []}},
    "automl": {"text_snippet": {"content": "Anna"}, "annotations": [{"display_name": "X"}]},
    "dialogue": {"messages": [{"role": "user", "content": "Anna"}]},
    "pandas": {"tokens": {"0": ["EU"], "1": ["x"]}, "ner_tags": {"0": ["B-ORG"], "1": ["O"]}},
    "flags": {"learning_rate": 2e-5, "train_file": "a.conll", "mine": None},
    "columns": {"tokens": [["EU"], ["x"]], "ner_tags": [["B-ORG"], ["O"]]},
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_in_other_formats_are_named(tmp_path, snapshot, name):
    assert read(write_file(tmp_path, name, TEXTS[name]), problems := Problems()) == []
    assert [group.kind for group in problems.groups] == [ProblemKind.FOREIGN_FORMAT]
    assert stable(problems, tmp_path) == snapshot


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_of_other_formats_are_named(tmp_path, snapshot, name):
    path = write_file(tmp_path, "a.json", json.dumps(OBJECTS[name]))
    assert read(path, problems := Problems()) == []
    assert [group.kind for group in problems.groups] == [ProblemKind.FOREIGN_FORMAT]
    assert stable(problems, tmp_path) == snapshot


@pytest.mark.parametrize("name", ["allennlp.txt", "slashes.txt", "commas.txt", "pipes.txt"])
def test_the_command_of_the_message_converts_the_file(tmp_path, name):
    read(write_file(tmp_path, name, TEXTS[name]), problems := Problems())
    (problem,) = problems.groups[0].shown
    command = problem.expected.partition("To convert: ")[2]
    command = command.replace("NEWFILE", "new.tsv").replace("FILE", name)
    subprocess.run(command, shell=True, check=True, cwd=tmp_path)
    words, tags = read(tmp_path / "new.tsv")[0]
    assert (words[0], tags[0]) == ("EU", "B-ORG") and tags[-1] == "O"


@pytest.mark.parametrize(
    "content",
    [
        "<\tO\nEU\tB-ORG\n",
        "<s>\tO\nEU\tB-ORG\n",
        "<doc id=1>\tO\nEU\tB-ORG\n",
        "EU/NATO B-ORG\nx O\n",
        "1,000\tO\nx|y\tB-X\n",
        "[Rome](city)\tB-LOC\n",
        "seed:\tO\nparis:\tB-LOC\n",
        "seed:\tO\nworks\tO\n",
    ],
)
def test_words_with_such_signs_are_words(tmp_path, content):
    assert len(read(write_file(tmp_path, "a.conll", content))[0][0]) == content.count("\n")


ARCHIVES = {
    "curated": ["annotation/a.txt/anna.tsv", "curation/a.txt/CURATION_USER.tsv"],
    "annotated": ["annotation/a.txt/anna.tsv", "annotation/a.txt/bob.tsv"],
    "brat": ["p/a.txt", "p/a.ann"],
    "others": ["train.conll", "test.conll"],
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_what_to_do_with_an_archive(tmp_path, snapshot, name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in ARCHIVES[name]:
            archive.writestr(file, "")
    read(write_file(tmp_path, "a.zip", buffer.getvalue()), problems := Problems())
    assert [group.kind for group in problems.groups] == [ProblemKind.NOT_TEXT]
    assert stable(problems, tmp_path) == snapshot
