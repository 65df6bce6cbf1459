"""Adds up pytest's JUnit files: what was not run and why, and one closing line. Usage: tally.py FOLDER"""

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(folder: Path) -> None:
    passed = failed = skipped = 0
    for file in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(file).iter("testcase"):
            reason = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif reason is not None:
                skipped += 1
                print(f"not run: {case.get('classname')}.{case.get('name')}, because {reason.get('message')}")
            else:
                passed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
