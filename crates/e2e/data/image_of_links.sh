# Makes an image of links alone, as in `/bin -> usr/bin`, in the folder $1 and its archive $2.
cd "$1"
mkdir usr etc bed out proc tmp
for name in bin sbin lib lib32 lib64 libx32; do if [ -L "/$name" ]; then cp -P "/$name" .; fi; done
exec tar --create --file "$2" .
