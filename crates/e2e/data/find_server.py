"""Reads a rank table, converts it, and finds this server, as the vendor's launcher does before it starts ranks."""

import sys
from davincirunsdk.rank_table import RankTable, RankTableV0
RankTable.wait_for_available(sys.argv[1])
table = RankTableV0(sys.argv[1])
print(table.get_server(table.get_current_instance().server_id))
