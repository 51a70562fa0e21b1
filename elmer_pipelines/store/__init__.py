"""PostgreSQL: the tables, how they are reached, and one module of plain functions per table.

Every function takes a connection and a workspace id first (I9). No rules of the product live here.
"""
