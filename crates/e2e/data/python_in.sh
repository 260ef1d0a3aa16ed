# Moves Debian's Python below the folder $1, as if it had been built there from source.
set -eu
lib=$1/lib/python3.11
mkdir -p "$1/bin" "$1/lib"
mv /usr/bin/python3.11 "$1/bin"
ln -s python3.11 "$1/bin/python3"
mv /usr/lib/python3.11 "$1/lib"
rm -f /usr/bin/python3 /usr/bin/python "$lib/sitecustomize.py"
mkdir -p "$lib/site-packages"
# Debian's own looks for packages in other folders than everybody's.
echo "import site; site.addsitedir('$lib/site-packages')" >"$lib/sitecustomize.py"
"$1/bin/python3" -c 'import sys; assert f"{sys.prefix}/lib/python3.11/site-packages" in sys.path, sys.path'
