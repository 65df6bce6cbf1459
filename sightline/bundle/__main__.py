from sightline.bundle.command import run

run()
