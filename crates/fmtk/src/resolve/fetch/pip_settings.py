# Prints what pip is configured for, by files and by variables, as JSON. It may hold passwords.
import json
import os
import sys

try:
    from pip._internal.commands import create_command
except ImportError:
    sys.exit(97)

options, _ = create_command("download").parse_args([])
names = ["index_url", "extra_index_urls", "no_index", "find_links", "trusted_hosts", "proxy", "cert", "client_cert"]
settings = {name: getattr(options, name) for name in names}
# The variables of the library that pip makes its requests with.
settings["cert"] = options.cert or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
print(json.dumps(settings))
