package hexr.authz_test

import data.hexr.authz

test_editor if authz.allow with input as {"role": "editor"}

test_viewer if authz.allow with input as {"role": "viewer"}

test_manifest if data.system.bundles.bundle.manifest.revision == "r7"

test_other_files if data.hexr.other
